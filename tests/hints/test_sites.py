"""Every place in the source that gives advice is followed by a case, or is listed as one that is not.

The list is tests/hints/unfollowed.txt: what the cases of the other tests here do not print. A new hint needs a case, or a line there that a reviewer reads: ``pytest --update-golden``
writes the list anew.
"""

from pathlib import Path

from cases import CASES, text
from sites import HOLE, advice, pattern
from test_catalogue import CATALOG
from test_followed_rules import told
from test_golden import GOLDEN
from test_hints import Case

LIST = Path(__file__).parent / "unfollowed.txt"
HINT = "    hint: "


def printed():
    """Return every hint that the followed cases print."""
    outs = (GOLDEN / "bad").glob("*.out")
    lines = (line for out in outs for line in out.read_text(encoding="utf-8").splitlines())
    found = {line.removeprefix(HINT) for line in lines if line.startswith(HINT)}
    for one in CASES.values():
        found |= {problem.hint for problem in told(Case("r.yaml", text(one.bad)), one.known)}
    for name in CATALOG.names:
        found |= {*CATALOG.get(name).schema.get("x-not", {}).values()}
    return found


def test_a_place_that_gives_advice_is_followed_or_listed(update_golden):
    seen = printed()
    left = {
        f"{file}: {' '.join(said.replace(HOLE, '…').split())}"
        for file, said in advice()
        if not any(pattern(said).search(hint) for hint in seen)
    }
    if update_golden:
        LIST.write_text("".join(f"{line}\n" for line in sorted(left)), encoding="utf-8")
    assert sorted(left) == LIST.read_text(encoding="utf-8").splitlines()
