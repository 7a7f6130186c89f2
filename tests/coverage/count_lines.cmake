# Given to CMake as CMAKE_PROJECT_flatpoint_INCLUDE: the library counts which of its lines run; the tests stay as they are.
function(count_lines)
  foreach(library IN ITEMS flatpoint flatpoint_dcp)
    target_compile_options(${library} PRIVATE --coverage -Og -fno-inline)
    target_link_options(${library} PUBLIC --coverage)
  endforeach()
endfunction()
cmake_language(DEFER CALL count_lines)
