# libtidemark: the store for other programs. Only its tm_ functions can be seen from outside, in both kinds of library.
add_library(tidemark_objects OBJECT ${library})
set_target_properties(tidemark_objects PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
target_link_libraries(tidemark_objects PUBLIC tidemark_core)
# An archive, of which only what is needed becomes part of the library.
add_library(tidemark_core_archive STATIC $<TARGET_OBJECTS:tidemark_core>)
target_link_libraries(tidemark_core_archive PUBLIC PkgConfig::SQLITE PkgConfig::ZSTD PkgConfig::CRYPTO Threads::Threads)

if(TIDEMARK_SANITIZE)
  return() # tests link the objects
endif()

add_library(tidemark_shared SHARED $<TARGET_OBJECTS:tidemark_objects>)
set_target_properties(tidemark_shared PROPERTIES OUTPUT_NAME tidemark VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
target_link_options(tidemark_shared PRIVATE -Wl,--no-undefined -Wl,--as-needed -Wl,--exclude-libs,ALL)
target_link_libraries(tidemark_shared PRIVATE tidemark_core_archive)

# One object, whose names are its own but for those of the interface: another library of the program may have the same.
set(static ${CMAKE_CURRENT_BINARY_DIR}/libtidemark.a)
add_custom_command(OUTPUT ${static}
  COMMAND ${CMAKE_LINKER} -r -o libtidemark.o $<TARGET_OBJECTS:tidemark_objects> $<TARGET_FILE:tidemark_core_archive>
  COMMAND ${CMAKE_OBJCOPY} --localize-hidden libtidemark.o
  COMMAND ${CMAKE_COMMAND} -E rm -f ${static}
  COMMAND ${CMAKE_AR} rcs ${static} libtidemark.o
  DEPENDS tidemark_objects $<TARGET_OBJECTS:tidemark_objects> tidemark_core_archive
  COMMAND_EXPAND_LISTS VERBATIM)
add_custom_target(tidemark_static ALL DEPENDS ${static})
