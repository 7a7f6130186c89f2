# Called while a source distribution is packed (pyproject.toml, sdist.cmake): copies the headers of others beside the sources,
# so that what is unpacked elsewhere builds without a network.
foreach(library IN ITEMS
    flatbuffers::flatbuffers=flatbuffers=flatbuffers fmt::fmt-header-only=fmt=fmt tl::expected=expected=tl
    xxHash::headers=xxhash=xxhash.h nlohmann_json::nlohmann_json=nlohmann_json=nlohmann)
  string(REPLACE "=" ";" library "${library}")
  list(GET library 0 target)
  list(GET library 1 name)
  list(GET library 2 headers)
  get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
  foreach(folder IN LISTS folders ITEMS /usr/include)
    if(EXISTS "${folder}/${headers}")
      file(REMOVE_RECURSE "${PROJECT_SOURCE_DIR}/third_party/${name}")
      file(COPY "${folder}/${headers}" DESTINATION "${PROJECT_SOURCE_DIR}/third_party/${name}" FOLLOW_SYMLINK_CHAIN)
      break()
    endif()
  endforeach()
  if(NOT EXISTS "${PROJECT_SOURCE_DIR}/third_party/${name}/${headers}")
    message(FATAL_ERROR "${name}: no ${headers} among ${folders}")
  endif()
endforeach()
