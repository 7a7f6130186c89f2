# `cmake --install`: headers, libraries, CMake package, pkg-config, schema. Nothing of it needs FlatBuffers but
# include/flatpoint/generated.hpp, which is for programs that bring FlatBuffers themselves.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/flatpoint")

install(TARGETS flatpoint flatpoint_dcp flatpoint_data EXPORT flatpointTargets)
if(FLATPOINT_TOOL)
  install(TARGETS flatpoint_tool)
  if(NOT CMAKE_CROSSCOMPILING)  # the tool itself prints its manual and its completion
    set(texts "${PROJECT_BINARY_DIR}/share")
    add_custom_command(OUTPUT "${texts}/man/man1/flatpoint.1" DEPENDS flatpoint_tool cmake/tool_texts.cmake
      COMMAND "${CMAKE_COMMAND}" "-DTOOL=$<TARGET_FILE:flatpoint_tool>" "-DINTO=${texts}" -P "${PROJECT_SOURCE_DIR}/cmake/tool_texts.cmake")
    add_custom_target(flatpoint_tool_texts ALL DEPENDS "${texts}/man/man1/flatpoint.1")
    install(DIRECTORY "${texts}/man/" DESTINATION "${CMAKE_INSTALL_MANDIR}")
    install(DIRECTORY "${texts}/bash-completion" "${texts}/zsh" "${texts}/fish" DESTINATION "${CMAKE_INSTALL_DATADIR}")
  endif()
endif()
install(EXPORT flatpointTargets NAMESPACE flatpoint:: DESTINATION "${package_dir}")
install(DIRECTORY include/flatpoint DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES generated/cpp/flatpoint/metadata_generated.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/flatpoint")
install(FILES schema/metadata.fbs docs/json.schema.json DESTINATION "${CMAKE_INSTALL_DATADIR}/flatpoint")
install(FILES LICENSE NOTICE THIRD_PARTY_NOTICES.md DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/flatpoint")

# Before 1.0 a minor release may change the interface.
configure_package_config_file(cmake/flatpointConfig.cmake.in flatpointConfig.cmake INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file(flatpointConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/flatpointConfig.cmake" "${PROJECT_BINARY_DIR}/flatpointConfigVersion.cmake"
  DESTINATION "${package_dir}")

# Paths inside are relative to the .pc file: the prefix may be moved, as with the CMake package.
file(RELATIVE_PATH pkgconfig_to_prefix
  "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
foreach(name IN ITEMS flatpoint flatpoint-dcp flatpoint-data)
  configure_file(cmake/${name}.pc.in ${name}.pc @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endforeach()
