# What `cmake --install` puts in place.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS tidemark RUNTIME)
install(FILES docs/man/tidemark.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES packaging/completions/tidemark.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME tidemark)
install(FILES packaging/completions/_tidemark DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
# The unit names the binary by its path, which is known when this is installed.
install(CODE "
  file(READ \"${CMAKE_SOURCE_DIR}/packaging/tidemark.service\" unit)
  string(REPLACE /usr/bin/tidemark \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/tidemark\" unit \"\${unit}\")
  file(WRITE \"${CMAKE_CURRENT_BINARY_DIR}/tidemark.service\" \"\${unit}\")")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tidemark.service DESTINATION lib/systemd/system)

if(TIDEMARK_SANITIZE)
  return() # there is no library
endif()
install(TARGETS tidemark_shared LIBRARY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/libtidemark.a DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/tidemark/tidemark.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tidemark)
install(FILES docs/man/libtidemark.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
file(RELATIVE_PATH to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" to_prefix "${to_prefix}")
configure_file(cmake/tidemark.pc.in tidemark.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tidemark.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/tidemark)
configure_package_config_file(cmake/tidemark-config.cmake.in tidemark-config.cmake INSTALL_DESTINATION ${package}
  PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(tidemark-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tidemark-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/tidemark-config-version.cmake
  DESTINATION ${package})
