# What an installed Ingot consists of: headers (usable alone), the static library, the program, and
# the package files that find_package reads. Nothing installed names the build machine's folders.
include(CMakePackageConfigHelpers)

set(INGOT_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/ingot")

# include/ingot/quant is a link into the source tree; the formats are installed in its place.
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/ingot" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h" PATTERN "quant" EXCLUDE)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/quant/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/ingot/quant"
        FILES_MATCHING PATTERN "*.hpp")

install(TARGETS ingot_quant ingot_headers EXPORT ingot-headers)
install(TARGETS ingot EXPORT ingot-library)
if(INGOT_BUILD_TOOLS)
  install(TARGETS ingot_tool)
endif()

foreach(part headers library)
  install(EXPORT ingot-${part} NAMESPACE ingot:: FILE ingot-${part}-targets.cmake
          DESTINATION "${INGOT_PACKAGE_DIR}")
endforeach()

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/ingot-config.cmake.in"
  "${PROJECT_BINARY_DIR}/ingot-config.cmake" INSTALL_DESTINATION "${INGOT_PACKAGE_DIR}")
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/ingot-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/ingot-config.cmake"
              "${PROJECT_BINARY_DIR}/ingot-config-version.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/FindUtf8proc.cmake"
        DESTINATION "${INGOT_PACKAGE_DIR}")
