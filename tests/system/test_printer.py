"""What a program reads on stdout."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from runner.base import visible
from runner.system import printer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
)


@given(JSON)
@example([float("nan"), float("-inf")])
@example({"half a pair": "\ud800", "\n": {"b": [[], {}]}})
@example([1e-5, 1e16, -0.0, 10**30])
def test_json_is_as_python_writes_it(value):
    for indent in (None, 1, 2):
        plain = json.dumps(value, indent=indent, ensure_ascii=False)
        assert printer._json(value, indent) == visible.json_text(plain)
