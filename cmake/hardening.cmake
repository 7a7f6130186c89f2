# The toolchain's own defences, for the code that reads other people's bytes: library and tool.
include(CheckPIESupported)
check_pie_supported()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)  # executables become PIE

target_compile_options(flatpoint_flags INTERFACE -fstack-protector-strong -fstack-clash-protection)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  target_compile_options(flatpoint_flags INTERFACE -fcf-protection)
endif()
# The fortified C library needs an optimiser; some distributions define it already.
target_compile_options(flatpoint_flags INTERFACE $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE$<SEMICOLON>-D_FORTIFY_SOURCE=3>)
if(NOT APPLE)
  target_link_options(flatpoint_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
