"""Every record that crosses a module is a msgspec.Struct that is made with keywords."""

import ast

from sources import FILES, PACKAGE, nodes

NAMES = {path.relative_to(PACKAGE).as_posix(): path for path in FILES}
DATACLASSES = {
    "system/reader.py: Kind": "completion looks into files, and imports no msgspec",
}


def classes(*bases):
    """Every class of the package with one of the bases, and the file it stands in."""
    for file, path in NAMES.items():
        for node in nodes(path):
            said = node.bases if isinstance(node, ast.ClassDef) else []
            if {ast.unparse(base).rpartition(".")[2] for base in said} & {*bases}:
                yield file, node


def imported():
    """Every name that a module takes from another of the package, by the file it takes it from."""
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("runner."):
                file = node.module.removeprefix("runner.").replace(".", "/")
                for alias in node.names:
                    yield f"{file}.py", alias.name
                    yield f"{file}/__init__.py", alias.name


def test_no_record_is_a_dataclass_without_a_reason():
    found = {}
    for file, path in NAMES.items():
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                said = [ast.unparse(one) for one in node.decorator_list]
                found |= {f"{file}: {node.name}": one for one in said if "dataclass" in one}
    assert found.keys() == DATACLASSES.keys()
    assert all("kw_only=True" in said for said in found.values())


def test_every_struct_is_made_with_keywords():
    found = list(classes("Struct"))
    assert len(found) > 100
    for file, node in found:
        said = {key.arg: ast.unparse(key.value) for key in node.keywords}
        assert said.get("kw_only") == "True", f"{file}: {node.name} takes its fields by position"


def test_no_named_tuple_leaves_its_module():
    taken = set(imported())
    for file, node in classes("NamedTuple"):
        assert (file, node.name) not in taken, f"{file}: {node.name} is a record of other modules"


def test_nothing_is_read_back_by_hand():
    """`runner.base.values.read_as` is what makes a value of what was written down."""
    for file, path in NAMES.items():
        names = {node.name for node in nodes(path) if isinstance(node, ast.FunctionDef)}
        assert not {name for name in names if name.endswith("from_dict")}, file
