// Continues a piece of code: embed MODEL.gguf [PROMPT]
#include <exception>
#include <iostream>
#include <string_view>

#include "ingot/ingot.hpp"

int main(int argument_count, char** arguments) {
  if (argument_count < 2) {
    std::cerr << "usage: embed MODEL.gguf [PROMPT]\n";
    return 2;
  }
  try {
    const auto model = ingot::Model::open(arguments[1]);         // maps the file
    const auto executable = ingot::Executable::load(model, {});  // refuses what does not fit
    ingot::Session session(executable);                          // the cache of its sequences

    ingot::GenerateRequest request;
    request.prompt = argument_count > 2 ? arguments[2] : "def add(a, b):\n";
    request.max_tokens = 48;
    request.sampler.temperature = 0;  // always the most probable token

    ingot::GenerateCallbacks callbacks;
    callbacks.on_text = [](std::string_view text) {
      std::cout << text << std::flush;
      return true;  // false would stop here
    };

    const auto result = ingot::generate(session, request, callbacks);
    std::cout << "\n-- " << result.timings.generated_tokens_per_second() << " tokens/s\n";
    return 0;
  } catch (const std::exception& error) {  // ingot::Error: one line that says what to do
    std::cerr << "embed: " << error.what() << "\n";
    return 1;
  }
}
