// Every public header, in the order data flows through them: file, model, text to ids, device,
// steps, logits to ids, generated text.
#pragma once

// clang-format off: this order is the point

#include "ingot/device.hpp"       // where it runs
#include "ingot/dtype.hpp"        // storage types and their codecs
#include "ingot/error.hpp"        // the one exception type
#include "ingot/fim.hpp"          // fill-in-the-middle prompts
#include "ingot/generate.hpp"     // all of it in one call
#include "ingot/gguf.hpp"         // reading model files
#include "ingot/gguf_writer.hpp"  // writing them
#include "ingot/model.hpp"        // what a model is
#include "ingot/sampler.hpp"      // choosing the next token
#include "ingot/session.hpp"      // memory plan, executable, sequences, steps
#include "ingot/tokenizer.hpp"    // text and token ids
