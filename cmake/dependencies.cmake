# The libraries of others that flatpoint is made from: headers, all of them. Each comes from the first place that has it:
#
#   1. the Python environment that builds the package: pyproject.toml asks pip for what brings headers
#   2. an installation: a CMake package, or the header where CMAKE_PREFIX_PATH and the system keep theirs
#   3. third_party/NAME, which a source distribution for Python carries (cmake/sdist.cmake)
#   4. the release's archive, by digest, where FLATPOINT_FETCH_DEPS is ON (FetchContent: FETCHCONTENT_SOURCE_DIR_NAME names a
#      folder that is there already)
include(FetchContent)
option(FLATPOINT_FETCH_DEPS "Download what is installed nowhere" OFF)

# Where a Python package keeps a header: the folder to include from; empty where the package is not installed.
function(flatpoint_python_headers variable package header)
  set(${variable} "" PARENT_SCOPE)
  if(NOT Python_EXECUTABLE)
    return()
  endif()
  execute_process(COMMAND "${Python_EXECUTABLE}" -c "import importlib.metadata, os, sys
package, header = sys.argv[1:]
for file in importlib.metadata.files(package) or ():
    if file.as_posix().endswith('include/' + header) and os.path.exists(file.locate()):
        print(os.path.realpath(file.locate())[: -len(header) - 1])
        break" "${package}" "${header}"
    OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(${variable} "${folder}" PARENT_SCOPE)
  endif()
endfunction()

# flatpoint_headers(NAME TARGET target HEADER header [PACKAGE package] [PYTHON package] [HINT folder]
#                   [DEFINITIONS definition...] URL url SHA256 digest [SUBDIR folder])
# Makes `target`, unless find_package(package) does.
function(flatpoint_headers name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TARGET;HEADER;PACKAGE;PYTHON;HINT;URL;SHA256;SUBDIR" "DEFINITIONS")
  if(TARGET ${arg_TARGET})
    return()
  endif()
  set(folder "")
  if(arg_PYTHON)
    flatpoint_python_headers(folder "${arg_PYTHON}" "${arg_HEADER}")
  endif()
  if(NOT folder)
    if(arg_PACKAGE)
      find_package(${arg_PACKAGE} CONFIG QUIET GLOBAL)
      if(TARGET ${arg_TARGET})
        return()
      endif()
    endif()
    find_path(${name}_INCLUDE_DIR NAMES "${arg_HEADER}" HINTS ${arg_HINT})
    mark_as_advanced(${name}_INCLUDE_DIR)
    set(folder "${${name}_INCLUDE_DIR}")
  endif()
  if(NOT folder AND EXISTS "${PROJECT_SOURCE_DIR}/third_party/${name}/${arg_HEADER}")
    set(folder "${PROJECT_SOURCE_DIR}/third_party/${name}")
  endif()
  if(NOT folder AND FLATPOINT_FETCH_DEPS)
    # Headers alone are wanted: a folder that is not there keeps the project's own CMakeLists.txt out.
    FetchContent_Declare(${name} URL "${arg_URL}" URL_HASH "SHA256=${arg_SHA256}" DOWNLOAD_EXTRACT_TIMESTAMP OFF
      SOURCE_SUBDIR flatpoint-takes-headers-alone)
    FetchContent_MakeAvailable(${name})
    string(TOLOWER "${name}" lower)
    set(folder "${${lower}_SOURCE_DIR}/${arg_SUBDIR}")
  endif()
  if(NOT EXISTS "${folder}/${arg_HEADER}")
    message(FATAL_ERROR "${name} is not installed: no ${arg_HEADER}. Install it (scripts/setup does, on Debian 12), or let the "
      "build download it: -DFLATPOINT_FETCH_DEPS=ON")
  endif()
  add_library(${arg_TARGET} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${arg_TARGET} SYSTEM INTERFACE "${folder}")
  target_compile_definitions(${arg_TARGET} INTERFACE ${arg_DEFINITIONS})
  message(STATUS "${name}: ${folder}")
endfunction()

if(FLATPOINT_PYTHON)
  find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module OPTIONAL_COMPONENTS Development.SABIModule)
endif()

# The headers must be of the very version that wrote generated/. scripts/setup puts them, and flatc, where HINTS looks.
file(STRINGS generated/FLATC_VERSION flatbuffers_version)
if(NOT FLATPOINT_PYTHON)  # pip's environments lack the folder lib64, which the package's files name
  find_package(flatbuffers ${flatbuffers_version} EXACT CONFIG QUIET HINTS "${PROJECT_SOURCE_DIR}/.cache/venv/flatbuffers")
endif()
flatpoint_headers(flatbuffers TARGET flatbuffers::flatbuffers HEADER flatbuffers/base.h PYTHON flatc
  HINT "${PROJECT_SOURCE_DIR}/.cache/venv/flatbuffers/include"
  URL https://github.com/google/flatbuffers/archive/refs/tags/v25.12.19.tar.gz
  SHA256 f81c3162b1046fe8b84b9a0dbdd383e24fdbcf88583b9cb6028f90d04d90696a SUBDIR include)
get_target_property(flatbuffers_folders flatbuffers::flatbuffers INTERFACE_INCLUDE_DIRECTORIES)
list(GET flatbuffers_folders 0 flatbuffers_folder)
file(STRINGS "${flatbuffers_folder}/flatbuffers/base.h" found REGEX "#define FLATBUFFERS_VERSION_(MAJOR|MINOR|REVISION) ")
list(TRANSFORM found REPLACE "[^0-9]" "")
list(JOIN found "." found)
if(NOT found STREQUAL flatbuffers_version)
  message(FATAL_ERROR "${flatbuffers_folder}/flatbuffers is of FlatBuffers ${found}; generated/ is of ${flatbuffers_version}")
endif()
flatpoint_headers(fmt TARGET fmt::fmt-header-only HEADER fmt/format.h PACKAGE fmt PYTHON cmeel-fmt
  DEFINITIONS FMT_HEADER_ONLY=1
  URL https://github.com/fmtlib/fmt/archive/refs/tags/11.0.2.tar.gz
  SHA256 6cb1e6d37bdcb756dbbe59be438790db409cdb4868c66e888d5df9f13f7c027f SUBDIR include)
flatpoint_headers(expected TARGET tl::expected HEADER tl/expected.hpp PACKAGE tl-expected
  URL https://github.com/TartanLlama/expected/archive/refs/tags/v1.1.0.tar.gz
  SHA256 1db357f46dd2b24447156aaf970c4c40a793ef12a8a9c2ad9e096d9801368df6 SUBDIR include)
flatpoint_headers(xxhash TARGET xxHash::headers HEADER xxhash.h
  URL https://github.com/Cyan4973/xxHash/archive/refs/tags/v0.8.3.tar.gz
  SHA256 aae608dfe8213dfd05d909a57718ef82f30722c392344583d3f39050c7f29a80)
if(FLATPOINT_TOOL)
  flatpoint_headers(nlohmann_json TARGET nlohmann_json::nlohmann_json HEADER nlohmann/json.hpp PACKAGE nlohmann_json
    URL https://github.com/nlohmann/json/archive/refs/tags/v3.11.3.tar.gz
    SHA256 0d8ef5af7f9794e3263480193c491549b2ba6cc74bb018906202ada498a79406 SUBDIR single_include)
endif()
