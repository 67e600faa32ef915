// Golden data that lies outside of the repository: missing, its tests are skipped, loudly; with
// INGOT_REQUIRE_FIXTURES set, as continuous integration has it, they fail.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>

/// Ends the test when `holds`, which asks for the golden data, is false. `where`: what is missing.
#define INGOT_NEED_FIXTURE(holds, where)                                                    \
  do {                                                                                      \
    if (holds) break;                                                                       \
    if (std::getenv("INGOT_REQUIRE_FIXTURES") != nullptr) {                                 \
      FAIL() << "INGOT_REQUIRE_FIXTURES is set, and there is no " << (where);               \
    }                                                                                       \
    GTEST_SKIP() << "no " << (where) << "; set INGOT_FIXTURES to the golden data's folder"; \
  } while (false)
