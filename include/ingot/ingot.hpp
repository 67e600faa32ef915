// Every public header, in the order data flows through them: file, model, text to ids, device,
// steps, logits to ids, generated text.
#pragma once

// clang-format off
#include "ingot/version.hpp"      // of the headers and of the library
#include "ingot/error.hpp"        // the one exception type
#include "ingot/printable.hpp"    // names from files, safe to print
#include "ingot/cancel.hpp"       // asking work to stop
#include "ingot/dtype.hpp"        // storage types and their codecs
#include "ingot/gguf.hpp"         // reading model files
#include "ingot/gguf_writer.hpp"  // writing them
#include "ingot/model.hpp"        // what a model is
#include "ingot/tokenizer.hpp"    // text and token ids
#include "ingot/device.hpp"       // where it runs
#include "ingot/session.hpp"      // memory plan, executable, sequences, steps
#include "ingot/cost.hpp"         // arithmetic and traffic of a step
#include "ingot/diff.hpp"         // two devices, instruction by instruction
#include "ingot/sampler.hpp"      // choosing the next token
#include "ingot/fim.hpp"          // fill-in-the-middle prompts
#include "ingot/generate.hpp"     // all of it in one call
// clang-format on
