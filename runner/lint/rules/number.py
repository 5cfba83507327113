"""Numbers whose sign or scale looks like a typo, by the usual range in the schemas."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from runner.base.problems import as_yaml
from runner.catalog.tools import Json, branches
from runner.catalog.validate import Path, dotted
from runner.lint.facts import Finding
from runner.lint.rule import View, rule

_LOOKED_AT = {int, float, list, tuple, dict}
_FAR = 10  # times beyond what is usual: no training was ever meant so


class _Number(NamedTuple):
    path: Path
    value: float
    low: float
    high: float


@rule("warning", general=True)
def unusual_number(view: View) -> Iterator[Finding]:
    """A number far outside its usual range: a sign or a decimal point may be missing.

    ``learning_rate: 1e5`` is 100000; 1e-5 was intended. The tool's schema holds the usual range
    (``x-usual``). A number ten times beyond it is an error. If intended, write ``allow:
    [unusual-number]``.
    """
    for one in _numbers(view.tool.usual, view.params, ()):
        if one.value and not one.low <= one.value <= one.high:
            name = dotted(one.path)
            beyond = f"more than {_FAR} times beyond" if _far(one) else "beyond"
            message = f"{name} is {as_yaml(one.value)}, {beyond} what is usual: {_bound(one)}"
            yield Finding(parameter=name, message=message, hint=_hint(one), stops=_far(one))


def _bound(one: _Number) -> str:
    """Return the end of what is usual that a number lies beyond."""
    above = one.value > one.high
    return f"at {'most' if above else 'least'} {as_yaml(one.high if above else one.low)}"


def _far(one: _Number) -> bool:
    above = one.high > 0 and one.value > one.high * _FAR
    return above or (one.low > 0 and one.value < one.low / _FAR)


def _hint(one: _Number) -> str:
    """Return the number that was probably meant, else how to keep this one."""
    mantissa, _, exponent = f"{one.value:e}".partition("e")
    tenths = [one.value / 10, one.value / 100] if one.high == 1 else []
    for guess in (float(f"{mantissa}e{-int(exponent)}"), -one.value, *tenths):
        if guess and one.low <= guess <= one.high:
            return f"did you mean {as_yaml(float(f'{guess:.12g}'))}?"
    return "check it, and allow this rule"


def _numbers(schema: Json, value: Any, path: Path) -> Iterator[_Number]:
    """Yield every finite number of a value whose schema says what is usual."""
    if isinstance(value, Mapping):
        parts = [*schema.get("properties", {}).items(), *branches(schema, value)]
        for name, part in parts:
            child = value.get(name)
            if type(child) in _LOOKED_AT:
                yield from _numbers(part, child, (*path, name))
    elif isinstance(value, list | tuple):
        for at, (part, child) in enumerate(zip(schema.get("prefixItems", ()), value, strict=False)):
            yield from _numbers(part, child, (*path, at))
    elif type(value) in {int, float} and "x-usual" in schema and math.isfinite(value):
        yield _Number(path, value, *schema["x-usual"])
