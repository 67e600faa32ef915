# What an installed Ingot consists of: headers (usable alone), the libraries that were built, the
# program, and the package files that find_package and pkg-config read. Nothing installed names the
# build machine's folders.
include(CMakePackageConfigHelpers)

set(INGOT_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/ingot")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/ingot" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h")
install(FILES "${PROJECT_BINARY_DIR}/include/ingot/version.hpp"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/ingot")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/quant/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/ingot/quant"
        FILES_MATCHING PATTERN "*.hpp")

set(parts headers)
install(TARGETS ingot_quant ingot_headers EXPORT ingot-headers)
foreach(kind static shared)
  if(TARGET ingot_${kind})
    list(APPEND parts ${kind})
    install(TARGETS ingot_${kind} EXPORT ingot-${kind})
  endif()
endforeach()
if(TARGET ingot_tool)
  # The program finds the shared library beside it wherever both are put.
  file(RELATIVE_PATH to_libraries "${CMAKE_INSTALL_FULL_BINDIR}" "${CMAKE_INSTALL_FULL_LIBDIR}")
  set_target_properties(ingot_tool PROPERTIES INSTALL_RPATH "$ORIGIN/${to_libraries}")
  install(TARGETS ingot_tool)
endif()

foreach(part IN LISTS parts)
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

# pkg-config reads what the library needs from Libs.private only when it is asked for a static link;
# where there is no shared library every link is one.
if(INGOT_LIBRARY)
  set(INGOT_PC_LIBS "-L\${libdir} -lingot")
  set(INGOT_PC_PRIVATE "-lutf8proc ${CMAKE_THREAD_LIBS_INIT}")
  if(NOT INGOT_SHARED)
    string(APPEND INGOT_PC_LIBS " ${INGOT_PC_PRIVATE}")
    set(INGOT_PC_PRIVATE "")
  endif()
  # From the file's own place, so that an installed tree can be moved.
  file(RELATIVE_PATH INGOT_PC_TO_PREFIX "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
  configure_file("${PROJECT_SOURCE_DIR}/cmake/ingot.pc.in" "${PROJECT_BINARY_DIR}/ingot.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/ingot.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endif()
