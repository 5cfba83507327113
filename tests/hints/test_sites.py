"""The places in the source that advise a command or a value are counted: all of them are followed.

A place is followed where a case of the other tests here prints it.
"""

import imports
import rows
import suites
from cases import CASES, FURTHER, text
from sites import HOLE, advice, pattern, to_follow
from situations import told as typed
from test_catalogue import CATALOG
from test_followed_machine import told as of_machines
from test_followed_rules import told
from test_followed_tools import CASES as TOOLS
from test_followed_tools import run
from test_golden import GOLDEN
from test_hints import Case

MOST = 72  # lower it when more are followed
HINT = "    hint: "


def printed():
    """Return every hint that the followed cases print."""
    outs = (GOLDEN / "bad").glob("*.out")
    lines = (line for out in outs for line in out.read_text(encoding="utf-8").splitlines())
    found = {line.removeprefix(HINT) for line in lines if line.startswith(HINT)}
    for one in (*CASES.values(), *(one for _, one in FURTHER.values())):
        found |= {problem.hint for problem in told(Case("r.yaml", text(one.bad)), one.known)}
    found |= typed() | of_machines()
    for name in CATALOG.names:
        found |= {*CATALOG.get(name).schema.get("x-not", {}).values()}
    for work in (*rows.ROWS.values(), *rows.PROMPTS.values()):
        found |= {problem.hint for problem in rows.look(work)}
    for suite in suites.SUITES.values():
        found |= {problem.hint for problem in suites.look(suite)}
    for script in imports.SCRIPTS.values():
        found |= {problem.hint for problem in imports.write(script).problems}
    found |= {imports.refused(source) for source in imports.REFUSED}
    return found | {run(tool, said, words) for tool, said, words, _ in TOOLS.values()}


def test_no_more_places_give_advice_that_nobody_follows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = printed()
    left = {
        f"{file}: {' '.join(said.replace(HOLE, '…').split())}"
        for file, said in advice()
        if to_follow(said) and not any(pattern(said).search(hint) for hint in seen)
    }
    assert len(left) <= MOST, "\n".join(sorted(left))
