# cmake -DBUILD=… -DPREFIX=… -DSOURCE=… -P install.cmake: installs BUILD, then moves it to PREFIX.
file(REMOVE_RECURSE "${PREFIX}" "${PREFIX}.staging")
execute_process(COMMAND "${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${PREFIX}.staging"
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(RENAME "${PREFIX}.staging" "${PREFIX}")

# A path of this machine in a package file would make the package work here alone.
file(GLOB_RECURSE package_files "${PREFIX}/*.cmake" "${PREFIX}/*.pc")
if(NOT package_files)
  message(FATAL_ERROR "no CMake package files under ${PREFIX}")
endif()
foreach(file IN LISTS package_files)
  file(READ "${file}" text)
  foreach(path "${SOURCE}" "${BUILD}" "${PREFIX}")
    string(FIND "${text}" "${path}" at)
    if(NOT at EQUAL -1)
      message(FATAL_ERROR "${file} names ${path}")
    endif()
  endforeach()
endforeach()
