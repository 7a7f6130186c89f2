"""The stub and the module say the same; the package is marked as typed."""

import ast
import pathlib

import flatpoint
from flatpoint import _core

PACKAGE = pathlib.Path(flatpoint.__file__).parent
INHERITED = {"__contains__", "__reversed__", "get", "items", "keys", "values", "index", "count"}
UNTYPED = {"__eq__", "__hash__", "__repr__", "__init__", "__new__", "__doc__", "__module__", "__class_getitem__"}
UNTYPED |= {"__reduce__", "__reduce_ex__", "__copy__", "__deepcopy__", "_repr_html_"}


def stub_names():
    tree = ast.parse((PACKAGE / "_core.pyi").read_text())
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            names = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
            names |= {item.target.id for item in node.body if isinstance(item, ast.AnnAssign)}
            yield node.name, names, ast.get_docstring(node)
        elif isinstance(node, ast.FunctionDef):
            yield node.name, None, ast.get_docstring(node)
        elif isinstance(node, ast.AnnAssign):
            yield node.target.id, None, "typed"


def test_stub():
    typed = {name: members for name, members, _ in stub_names()}
    assert set(typed) == {name for name in vars(_core) if not name.startswith("_")}
    for name, members in typed.items():
        if members is not None:
            bound = {member for member in vars(getattr(_core, name)) if member not in UNTYPED | INHERITED}
            assert members - {"__buffer__"} == bound - {"__buffer__"}, name


def test_documented():
    assert (PACKAGE / "py.typed").exists()
    assert all(doc for _, _, doc in stub_names())
    for name in flatpoint.__all__:
        assert getattr(flatpoint, name).__doc__, name
