"""The layer check finds what it is for: each test plants one violation in a tree that keeps the rules."""

import pathlib
import tempfile
import unittest

import check_layers


class PlantedViolations(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for header in check_layers.PUBLIC_HEADERS:
            self.write(f"include/flatpoint/{header}", "#pragma once\n#include <vector>\n")
        self.write("include/flatpoint/generated.hpp", '#include "flatpoint/metadata_file.hpp"\n#include "flatpoint/metadata_generated.h"\n')
        self.write("src/base/checked.hpp", '#include "flatpoint/error.hpp"\n')
        self.write("src/format/decode.hpp", '#include <flatbuffers/flatbuffers.h>\n#include "base/checked.hpp"\n')
        self.write("src/format/decode.cpp", '#include "decode.hpp"\n#include "flatpoint/metadata_generated.h"\n')
        self.write("src/read/views.cpp", '#include "flatpoint/views.hpp"\n#include "format/decode.hpp"\n')
        self.write("src/base/xxh3.hpp", "#include <xxhash.h>\n")
        self.write("src/dcp/import.cpp", '#include "flatpoint/dcp.hpp"\n#include "base/xxh3.hpp"\n')
        self.write("tools/flatpoint/ls.cpp", '#include "print.hpp"\n#include "flatpoint/dcp.hpp"\n')
        self.write("tools/flatpoint/print.hpp", "")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def assert_finds(self, where, why):
        problems = check_layers.check(self.root)
        self.assertEqual(len(problems), 1, problems)
        self.assertTrue(problems[0].startswith(where), problems[0])
        self.assertIn(why, problems[0])

    def test_tree_that_keeps_the_rules(self):
        self.assertEqual(check_layers.check(self.root), [])

    def test_source_that_includes_a_higher_layer(self):
        self.write("src/format/encode.cpp", '#include <vector>\n  #  include "read/verifier.hpp"\n')
        self.assert_finds("src/format/encode.cpp:2:", "format does not lie above read")

    def test_neighbours_do_not_include_each_other(self):
        self.write("src/write/finish.cpp", '#include "flatpoint/views.hpp"\n')
        self.assert_finds("src/write/finish.cpp:1:", "write does not lie above read")

    def test_public_header_that_includes_a_higher_layer(self):
        self.write("include/flatpoint/types.hpp", "#include <flatpoint/dcp.hpp>\n")
        self.assert_finds("include/flatpoint/types.hpp:1:", "model does not lie above dcp")

    def test_public_header_that_needs_a_private_one(self):
        self.write("include/flatpoint/views.hpp", '#include "base/checked.hpp"\n')
        self.assert_finds("include/flatpoint/views.hpp:1:", "cannot need a private one")

    def test_xxhash_beside_its_door(self):
        self.write("src/read/find.cpp", "#include <xxhash.h>\n")
        self.assert_finds("src/read/find.cpp:1:", "xxHash is seen by base/xxh3.hpp only")

    def test_relative_path_is_no_way_around(self):
        self.write("src/read/verifier.hpp", "")
        self.write("src/base/error.cpp", '#include "../read/verifier.hpp"\n')
        self.assert_finds("src/base/error.cpp:1:", "base does not lie above read")

    def test_header_without_a_layer(self):
        self.write("include/flatpoint/new.hpp", "")
        self.assert_finds("include/flatpoint/new.hpp:", "no layer is known")

    def test_include_of_a_header_without_a_layer(self):
        self.write("src/read/verify.cpp", '#include "flatpoint/vreify.hpp"\n')
        self.assert_finds("src/read/verify.cpp:1:", "no layer is known")

    def test_folder_without_a_layer(self):
        self.write("src/util/strings.hpp", "")
        self.assert_finds("src/util/strings.hpp:", "no layer is known")

    def test_listed_header_that_is_missing(self):
        (self.root / "include/flatpoint/lookup.hpp").unlink()
        self.assert_finds("include/flatpoint/lookup.hpp:", "missing")

    def test_tool_that_includes_src(self):
        self.write("tools/flatpoint/main.cpp", '#include "format/decode.hpp"\n')
        self.assert_finds("tools/flatpoint/main.cpp:1:", "only include/ is open")

    def test_benchmark_that_includes_src_by_path(self):
        self.write("bench/find.cpp", '#include "../src/base/checked.hpp"\n')
        self.assert_finds("bench/find.cpp:1:", "only include/ is open")

    def test_flatbuffers_outside_format(self):
        self.write("src/write/finish.cpp", "#include <flatbuffers/flatbuffer_builder.h>\n")
        self.assert_finds("src/write/finish.cpp:1:", "FlatBuffers is seen by")

    def test_generated_code_in_a_public_header(self):
        self.write("include/flatpoint/views.hpp", '#include "flatpoint/metadata_generated.h"\n')
        self.assert_finds("include/flatpoint/views.hpp:1:", "FlatBuffers is seen by")


if __name__ == "__main__":
    unittest.main()
