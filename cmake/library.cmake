# libtidemark: the store for other programs. Only its tm_ functions can be seen from outside, in both kinds of library.
file(GLOB library CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/library/*.c)
add_library(tidemark_library OBJECT ${library})
set_target_properties(tidemark_library PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
target_link_libraries(tidemark_library PUBLIC tidemark_store)

if(TIDEMARK_SANITIZE)
  return() # tests link the objects
endif()

add_library(tidemark_shared SHARED $<TARGET_OBJECTS:tidemark_library>)
set_target_properties(tidemark_shared PROPERTIES OUTPUT_NAME tidemark VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
target_link_options(tidemark_shared PRIVATE -Wl,--no-undefined -Wl,--as-needed -Wl,--exclude-libs,ALL)
target_link_libraries(tidemark_shared PRIVATE tidemark_store)

# One object, whose names are its own but for those of the interface: another library of the program may have the same.
# Of the floors below only what is needed becomes part of it: not cJSON, which is for the server.
set(below "")
foreach(floor store event json base)
  list(APPEND below $<TARGET_FILE:tidemark_${floor}>)
endforeach()
set(static ${CMAKE_CURRENT_BINARY_DIR}/libtidemark.a)
add_custom_command(OUTPUT ${static}
  COMMAND ${CMAKE_LINKER} -r -o libtidemark.o $<TARGET_OBJECTS:tidemark_library> ${below}
  COMMAND ${CMAKE_OBJCOPY} --localize-hidden --wildcard --remove-section=.gnu.lto_* --remove-section=.gnu.debuglto_* libtidemark.o
  COMMAND ${CMAKE_COMMAND} -E rm -f ${static}
  COMMAND ${CMAKE_AR} rcs ${static} libtidemark.o
  DEPENDS tidemark_library $<TARGET_OBJECTS:tidemark_library> ${below}
  COMMAND_EXPAND_LISTS VERBATIM)
add_custom_target(tidemark_static ALL DEPENDS ${static})
