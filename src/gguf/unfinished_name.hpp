// Names of temporary files where a signal handler finds them.
#pragma once

namespace ingot::internal {

/// A place in a fixed table, held while a named temporary file exists. With more files than places,
/// or a path that is longer than a place, the file is not in the table and stays when the process
/// is ended by a signal.
class UnfinishedName {
 public:
  UnfinishedName() = default;
  UnfinishedName(const UnfinishedName&) = delete;
  UnfinishedName& operator=(const UnfinishedName&) = delete;
  ~UnfinishedName() { clear(); }

  /// The file `path` (relative ones as seen from here) is to be removed.
  void set(const char* path) noexcept;
  /// It has its final name, or is removed already.
  void clear() noexcept;

  /// Removes the files of all names set by this process. Takes no memory and no lock.
  static void remove_all() noexcept;

 private:
  int place_ = -1;
};

}  // namespace ingot::internal
