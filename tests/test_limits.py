"""docs/security.md says every limit there is, as the code has it."""

import ast
import importlib
import re

from sources import FILES, PACKAGE, tree

PAGE = PACKAGE.parent / "docs" / "security.md"
ROW = re.compile(r"\| [^|]+ \| ([\d,.]+)( MiB)? \| `([\w/]+)\.(\w+)` \|")
HELP = "docs/security.md: add a row '| what | LIMIT | `module.NAME` |' to the table of limits"


def rows():
    """Return the limits that the page says, by the names of their constants."""
    table = PAGE.read_text(encoding="utf-8").partition("## Limits")[2].splitlines()
    lines = [line for line in table if line.startswith("| ")][1:]
    found = [ROW.fullmatch(line) for line in lines]
    assert all(found), [line for line, one in zip(lines, found, strict=True) if not one]
    return {
        (one[3], one[4]): float(one[1].replace(",", "")) * (1 << 20 if one[2] else 1)
        for one in found
    }


def value(module, name):
    """Return a limit of the code; of a kind of file it is the bytes it has at most."""
    dotted = f"runner.{module.replace('/', '.')}"
    found = getattr(importlib.import_module(dotted), name)
    return getattr(found, "most", found)


def limits():
    """Yield the module and the name of each limit: MAX_… anywhere, and the kinds of files."""
    for path in FILES:
        module = path.relative_to(PACKAGE).with_suffix("").as_posix()
        for node in tree(path).body:
            for target in getattr(node, "targets", [getattr(node, "target", None)]):
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                for name in (one.id for one in names if isinstance(one, ast.Name)):
                    kind = module == "system/reader" and hasattr(value(module, name), "bit_length")
                    if name.startswith("MAX_") or (kind and not name.startswith("_")):
                        yield module, name


def test_every_limit_has_its_row():
    assert set(limits()) - rows().keys() == set(), HELP


def test_every_row_is_what_the_code_has():
    for (module, name), said in rows().items():
        assert said == value(module, name), f"{module}.{name}"


def test_limits_are_found():
    assert {("recipe/yaml", "MAX_BYTES"), ("system/reader", "RECIPE")} <= set(limits())
