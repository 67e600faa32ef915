# cmake -DSOURCE=… -DBUILD=… -DINGOT_FOLDER=… -DEMBED_SOURCE=… -DCOMPILER=… -DGENERATOR=…
#       -P build_type.cmake
# Configures a project that names no build type and has Ingot as a subfolder; its compile commands say
# what is optimised.
file(REMOVE_RECURSE "${BUILD}")
set(ENV{CMAKE_BUILD_TYPE} "")
execute_process(COMMAND "${CMAKE_COMMAND}" -S "${SOURCE}" -B "${BUILD}" -G "${GENERATOR}"
                        -DCMAKE_CXX_COMPILER=${COMPILER} -DINGOT_FOLDER=${INGOT_FOLDER}
                        -DEMBED_SOURCE=${EMBED_SOURCE} -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(READ "${BUILD}/compile_commands.json" commands)
string(JSON count LENGTH "${commands}")
math(EXPR last "${count} - 1")
set(seen "")
foreach(i RANGE ${last})
  string(JSON file GET "${commands}" ${i} file)
  string(JSON command GET "${commands}" ${i} command)
  string(REGEX MATCH " -O[0-9s]" level "${command}")
  if(file MATCHES "/src/session/session\\.cpp$")
    list(APPEND seen library)
    if(NOT level STREQUAL " -O3")
      message(FATAL_ERROR "the library is compiled with '${level}': ${command}")
    endif()
  elseif(file MATCHES "/border\\.cpp$")
    list(APPEND seen program)
    if(level)
      message(FATAL_ERROR "the program of the project is compiled with '${level}'")
    endif()
  endif()
endforeach()
list(SORT seen)
if(NOT seen STREQUAL "library;program")
  message(FATAL_ERROR "looked at '${seen}', not at the library and the program")
endif()
