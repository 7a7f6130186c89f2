import pathlib

import by_hand

import flatpoint_pure

WRITTEN = pathlib.Path(__file__).parents[3] / "tests" / "conformance" / "written" / "python.flatpoint"


def test_generated_builders_write_the_file_that_others_read():
    assert by_hand.make() == WRITTEN.read_bytes()
    file = flatpoint_pure.from_bytes(by_hand.make())
    assert [entry.name for entry in file] == ["a.bytes", "b.grid", "c.explicit"]
    assert file.digest_matches()
