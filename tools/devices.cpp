// ingot devices: what --device may be here.
#include <string>

#include "commands.hpp"
#include "ingot/device.hpp"
#include "support/terminal.hpp"

namespace ingot::tools {
namespace {

/// "14.4 GiB of 23.5 GiB available", or as much of it as the system tells.
std::string memory_of(const DeviceInfo& device) {
  if (!device.memory_available) return "available memory unknown";
  std::string text = human_bytes(*device.memory_available);
  if (device.memory_total) text += " of " + human_bytes(*device.memory_total);
  return text + " available";
}

int run() {
  std::string text;
  for (const DeviceInfo& device : devices()) {
    std::string name = device.name;
    name.resize(std::max<std::size_t>(name.size(), 10), ' ');
    text += name + ' ' + device.description + ", " + std::to_string(device.threads) +
            (device.threads == 1 ? " thread, " : " threads, ") + memory_of(device) + "\n";
  }
  print(text);
  return kSuccess;
}

}  // namespace

Command add_devices(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "devices", "List the devices of this build and machine, the default first");
  return {command, [] { return run(); }};
}

}  // namespace ingot::tools
