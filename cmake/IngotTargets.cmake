# Helpers every folder uses: one place decides the language level, warnings and sanitizers.

# ingot_configure_target(NAME): our own code is compiled as C++20, without contraction of a*b+c (the
# same bits on every machine), with warnings as errors, and with names hidden outside a shared library
# unless they are marked INGOT_API.
function(ingot_configure_target name)
  target_compile_features(${name} PUBLIC cxx_std_20)
  set_target_properties(${name} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON
                        CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_compile_options(${name} PRIVATE
    -ffp-contract=off -fno-math-errno
    -Wall -Wextra -Wconversion -Wno-sign-conversion -Wshadow -Wnon-virtual-dtor)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC 12 invents overlapping copies in inlined std::string (its bug 105329).
    target_compile_options(${name} PRIVATE -Wno-restrict)
  endif()
  if(INGOT_WARNINGS_AS_ERRORS)
    target_compile_options(${name} PRIVATE -Werror)
  endif()
  if(INGOT_SANITIZE)
    target_compile_options(${name} PRIVATE -fsanitize=${INGOT_SANITIZE} -fno-omit-frame-pointer
                                           -fno-sanitize-recover=all)
    target_link_options(${name} PUBLIC -fsanitize=${INGOT_SANITIZE})
  endif()
endfunction()

# ingot_sources(OUT FOLDER...): every .cpp directly in or below the folders.
function(ingot_sources out)
  set(all)
  foreach(folder IN LISTS ARGN)
    file(GLOB_RECURSE found CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp")
    list(APPEND all ${found})
  endforeach()
  set(${out} "${all}" PARENT_SCOPE)
endfunction()
