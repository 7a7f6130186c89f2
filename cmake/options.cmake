# Consumers (add_subdirectory, FetchContent) get the library only; a developer's checkout gets everything.
option(FLATPOINT_TOOL "Build the command-line tool" ${PROJECT_IS_TOP_LEVEL})
option(FLATPOINT_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(FLATPOINT_BENCH "Build the benchmarks" OFF)
option(FLATPOINT_WERROR "Warnings are errors" OFF)
set(FLATPOINT_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize=")

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

# Our own flags, linked PRIVATE by our own targets: consumers keep theirs.
add_library(flatpoint_flags INTERFACE)
target_compile_features(flatpoint_flags INTERFACE cxx_std_20)
target_compile_options(flatpoint_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
if(FLATPOINT_WERROR)
  target_compile_options(flatpoint_flags INTERFACE -Werror)
endif()
if(FLATPOINT_SANITIZE)
  target_compile_options(flatpoint_flags INTERFACE -fsanitize=${FLATPOINT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(flatpoint_flags INTERFACE -fsanitize=${FLATPOINT_SANITIZE})
endif()
