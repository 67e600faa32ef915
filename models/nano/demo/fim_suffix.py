

    def get_y(self):
        return self.y
