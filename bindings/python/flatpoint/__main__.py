"""`python -m flatpoint` is the tool `flatpoint`, which a wheel puts where the interpreter's scripts go."""

import os
import pathlib
import sys
import sysconfig
from importlib import metadata


def _candidates():
    name = "flatpoint" + (sysconfig.get_config_var("EXE") or "")
    for file in metadata.files("flatpoint") or ():
        if file.name == name and file.suffix != ".py":
            yield pathlib.Path(file.locate())
    yield pathlib.Path(sysconfig.get_path("scripts")) / name
    yield pathlib.Path(__file__).resolve().parents[1] / "bin" / name  # pip install --target


def main():
    for tool in _candidates():
        if tool.is_file():
            sys.stdout.flush()
            os.execv(tool, ["flatpoint", *sys.argv[1:]])
    sys.exit("flatpoint: error: the tool is not beside the package; install the package again")


if __name__ == "__main__":
    main()
