# The programs of a project that links the library, once with each kind: included by the projects of
# this folder after they have found or added Ingot. EMBED_SOURCE is the example of the README.
add_library(embed_object OBJECT "${EMBED_SOURCE}")
add_library(border_object OBJECT "${CMAKE_CURRENT_LIST_DIR}/border.cpp")
# As a careful program is compiled: what crosses the library's border must be visible by itself.
set_target_properties(border_object PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
foreach(program embed border)
  target_link_libraries(${program}_object PRIVATE ingot::headers)
  foreach(kind static shared)
    add_executable(${program}_${kind} $<TARGET_OBJECTS:${program}_object>)
    target_link_libraries(${program}_${kind} PRIVATE ingot::ingot_${kind})
    set_target_properties(${program}_${kind} PROPERTIES LINKER_LANGUAGE CXX)
  endforeach()
endforeach()
