"""The check of released schemas refuses each kind of breaking change and lets each kind of growth through.

Usage: FLATC=... python3 -m unittest test_check_released
"""

import os
import pathlib
import re
import tempfile
import unittest

import check_released

SCHEMA = (pathlib.Path(__file__).parents[2] / "schema/metadata.fbs").read_text()

# A change of the schema: text to replace, and by what.
BREAKING = {
    "a table's field changes its type": ("storage_order:[uint32];", "storage_order:[uint64];"),
    "a table's field is gone": ("  storage_order:[uint32];", ""),
    "a table's last field is gone": ("  file_formats:[FileFormat];", ""),
    "a table's field is renamed": ("storage_order:[uint32];", "order_of_storage:[uint32];"),
    "a table's field is put before others": ("  boxes:[int64];", "  weights:[int64];\n  boxes:[int64];"),
    "a new field is required": ("  file_formats:[FileFormat];", "  file_formats:[FileFormat];\n  owner:[ubyte] (required);"),
    "a field becomes required": ("storage_order:[uint32];", "storage_order:[uint32] (required);"),
    "a default changes": ("fragment_rank:int32 = -1;", "fragment_rank:int32 = 0;"),
    "a struct grows": ("  lengths_differ:bool;", "  lengths_differ:bool;\n  weight:uint32;"),
    "a struct grows into its padding": ("  lengths_differ:bool;", "  lengths_differ:bool;\n  weight:ubyte;"),
    "a struct shrinks": ("  lengths_differ:bool;", ""),
    "a struct's field changes its type": ("order_begin:uint32;", "order_begin:uint64;"),
    "an enum's value is gone": (", Bcomplex32,", ","),
    "an enum's value is put before others": ("Uint8 = 0, Int8,", "Uint8 = 0, Nibble, Int8,"),
    "an enum changes its width": ("enum PathType : ubyte", "enum PathType : ushort"),
    "the file identifier changes": ('file_identifier "FLPT"', 'file_identifier "FLPU"'),
    "the root changes": ("root_type Metadata;", "root_type Source;"),
    "the namespace changes": ("namespace flatpoint.fb;", "namespace flatpoint.fb2;"),
}
GROWTH = {
    "nothing changes": ("", ""),
    "a comment changes": ("// FQNs, sorted by bytes.", "// All FQNs."),
    "a table grows at its end": ("  file_formats:[FileFormat];", "  file_formats:[FileFormat];\n  weights:[int64];"),
    "an enum gains a value": ("Bcomplex32,", "Bcomplex32, Nibble,"),
    "a new table": ("root_type Metadata;", "table Owner { name:[ubyte]; }\nroot_type Metadata;"),
}


class ReleasedSchemas(unittest.TestCase):
    def changed(self, change):
        old, new = change
        self.assertIn(old, SCHEMA, "the change no longer applies: adapt this test to the schema")
        return SCHEMA.replace(old, new, 1)

    def conforms(self, current):
        with tempfile.TemporaryDirectory() as folder:
            before, after = pathlib.Path(folder, "before.fbs"), pathlib.Path(folder, "after.fbs")
            before.write_text(SCHEMA)
            after.write_text(current)
            return check_released.conforms(os.environ["FLATC"], before, after)

    def test_every_declaration_is_read(self):
        declared = re.findall(r"^(?:table|struct|enum|union|rpc_service)\s+(\w+)", SCHEMA, re.MULTILINE)
        self.assertEqual(list(check_released.Schema(SCHEMA).types), declared)

    def test_breaking_changes_are_refused(self):
        for what, change in BREAKING.items():
            with self.subTest(what):
                self.assertNotEqual(check_released.broken_promises(SCHEMA, self.changed(change)), [])

    def test_growth_is_let_through(self):
        for what, change in GROWTH.items():
            with self.subTest(what):
                current = self.changed(change)
                self.assertEqual(check_released.broken_promises(SCHEMA, current), [])
                self.assertEqual(self.conforms(current), "")

    def test_flatc_conform_is_asked(self):
        self.assertIn("types differ", self.conforms(self.changed(BREAKING["a table's field changes its type"])))


if __name__ == "__main__":
    unittest.main()
