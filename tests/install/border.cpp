// What crosses the border of a shared library: an exception thrown inside and caught outside by its
// type, a class derived outside and called from inside, one thrown outside that passes through, and
// the version of both sides. border MODEL.gguf
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "ingot/ingot.hpp"

namespace {

struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One thread; counts how often the library asks for it.
class OneThread final : public ingot::HostExecutor {
 public:
  int concurrency() const override { return 1; }
  void parallel(int count, const std::function<void(int)>& body) override {
    ++calls;
    for (int i = 0; i < count; ++i) body(i);
  }
  int calls = 0;
};

void require(bool holds, const char* what) {
  if (!holds) throw Refused(what);
}

}  // namespace

int main(int count, char** arguments) {
  try {
    require(count == 2, "usage: border MODEL.gguf");
    require(ingot::version() == ingot::kVersion, "the headers are of another version");

    bool caught = false;
    try {
      ingot::Model::open("there is no such file.gguf");
    } catch (const ingot::Error& error) {
      caught = error.code() == ingot::ErrorCode::io && std::strlen(error.what()) > 0;
    }
    require(caught, "an error of the library was not caught as ingot::Error");

    OneThread executor;
    ingot::LoadOptions options;
    options.run.context = 64;
    options.compile.host_executor = &executor;
    ingot::Session session(ingot::Executable::load(ingot::Model::open(arguments[1]), options));
    ingot::GenerateRequest request;
    request.prompt = "def add(a, b):\n";
    request.max_tokens = 4;
    const auto result = ingot::generate(session, request);
    require(result.ids.size() == 4, "not as many tokens as asked for");
    require(executor.calls > 0, "the program's own threads were not used");

    caught = false;
    try {
      ingot::GenerateCallbacks callbacks;
      callbacks.on_text = [](std::string_view) -> bool { throw Refused("enough"); };
      ingot::generate(session, request, callbacks);
    } catch (const Refused& error) {
      caught = std::string(error.what()) == "enough";
    }
    require(caught, "what a callback threw did not pass through the library");
    std::printf("ingot %s\n", std::string(ingot::version()).c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "border: %s\n", error.what());
    return 1;
  }
}
