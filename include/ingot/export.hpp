// What the library offers to programs that link it. The library is compiled with hidden visibility:
// a name without INGOT_API can be called from inside it alone.
#pragma once

#if defined(__GNUC__)
/// On a class or function of the library: visible outside a shared library. Also on types that are
/// thrown or whose virtual functions cross its border, wherever they are complete.
#define INGOT_API __attribute__((visibility("default")))
/// On a type nested in a visible class that is no business of callers.
#define INGOT_HIDDEN __attribute__((visibility("hidden")))
#else
#define INGOT_API
#define INGOT_HIDDEN
#endif
