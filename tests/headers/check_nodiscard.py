#!/usr/bin/env python3
"""Every function of a header that returns a Result is [[nodiscard]]: an error cannot be overlooked. Usage: check_nodiscard.py"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BARE = re.compile(r"^ *(?:(?:static|friend|inline|virtual) )*Result<.*> \w+\(", re.MULTILINE)


def main():
    status = 0
    for folder in ("include", "src", "tools"):
        for path in sorted((ROOT / folder).rglob("*.hpp")):
            for bare in BARE.finditer(path.read_text()):
                line = path.read_text().count("\n", 0, bare.start()) + 1
                print(f"{path.relative_to(ROOT)}:{line}: returns a Result without [[nodiscard]]")
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
