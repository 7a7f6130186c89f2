// base/xxh3.hpp - the one door to xxHash, inlined into whoever hashes.
#pragma once

// Numbers are read from unaligned memory by an instruction. By way of memcpy, its default, GCC makes a call of each
// where a source hashes in many places, and a look-up takes three times as long.
#define XXH_FORCE_MEMORY_ACCESS 1
#define XXH_INLINE_ALL
#include <xxhash.h>
