"""Every hint is followed, mechanically, and what it is about must be gone."""

import difflib
from collections import Counter

import pytest
from following import FREE, PROSE, Case, Place, follow
from test_golden import BAD, GOLDEN, inputs

from runner import workflow
from runner.base.problems import sort_problems
from runner.system import files


class Files:
    def __init__(self, case):
        self.known = {case.file: case.text, **case.others}

    def read(self, file):
        return self.known[file].encode() if file in self.known else files.read(file)

    beside = staticmethod(files.beside)


def problems(case):
    loaded = workflow.read(case.file, case.profiles, case.sets, case.environ, Files(case))
    return sort_problems(workflow.problems(loaded, case.environ))


def edited(case, other):
    """Return the lines that another case has written anew, by file."""
    changed = {case.file: _lines(case.text, other.text)}
    changed |= {file: _lines(read(file), text) for file, text in other.others.items()}
    if case.sets != other.sets:
        changed["--set"] = set(range(1, len(other.sets) + 1))
    return changed


def _lines(old, new):
    blocks = difflib.SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False)
    return {
        n for tag, _, _, a, b in blocks.get_opcodes() if tag != "equal" for n in range(a + 1, b + 1)
    }


def read(file):
    return files.read(file).decode("utf-8-sig", "replace")


NEW = (
    "tell tests/support/following.py how a person follows it; or, where it holds no command and no "
    "value to write, add it to PROSE there"
)


def faults(case, whole=False):
    """Yield what does not hold of the hints of a case when they are followed."""
    found = problems(case)
    before = {key(p) for p in found}
    for problem in found:
        if not problem.hint or any(one.fullmatch(problem.hint) for one in PROSE):
            continue
        lead = f"{problem.hint!r} ({problem.message})"
        free = any(one.fullmatch(problem.hint) for one in FREE)
        # Of a list all names are known there; whether one of them is meant is the reader's to know.
        listed = problem.hint.startswith(("there are: ", "add one of: "))
        wrong = []
        made = follow(Place(case, problem.mark, problem, read))
        if made is None:
            yield f"no form reads {lead}: {NEW}"
        elif not made:
            yield f"nothing follows {lead}"
        for one in made or ():
            wrong.append([])
            text = f"\n{one.text}{one.sets}{one.environ}{one.profiles}" * whole
            changed = edited(case, one)
            after = problems(one)
            if count(after)[key(problem)] >= count(found)[key(problem)]:
                wrong[-1].append(f"stays: {lead}{text}")
            for p in after:
                if p.message.startswith(REVEALED.get(case.file, "-")):
                    continue
                own = p.mark.line in changed.get(p.mark.file, ())
                if own and key(p) not in before and p.severity == "error" and not listed:
                    wrong[-1].append(f"makes new: {lead} -> {p.mark} {p.message}{text}")
        if not (free and not all(wrong)):
            yield from (said for one in wrong for said in one)


def key(problem):
    return problem.rule, problem.message


def count(found):
    return Counter(map(key, found))


# Mistakes of the case's own that the problem hid, and that show when it is gone.
REVEALED = {
    "param-other-library.yaml": "the length of an epoch is unknown: there is no folder 'd' here",
    "stage-budget-number.yaml": "the length of an epoch is unknown: there is no folder 'owner/rows' here",
    "extends-syntax-error-in-parent.yaml": "nothing reads vars.",
    "stage-bad-name-second.yaml": "nothing reads vars.bad_one",
    "template-swallows.yaml": (
        "steps_per_eval must be",
        "optimizer must be one of",
        "'range(3) | string'",
    ),
    "yaml-missing-colon.yaml": "mlx_lm.lora needs ",
    "yaml-tag-does-not-fit.yaml": "iters must be a whole number",
}


@pytest.mark.parametrize("name", BAD)
def test_a_hint_that_is_followed_makes_its_problem_go_away(name, monkeypatch):
    monkeypatch.chdir(GOLDEN / "bad")
    said = inputs(name)
    text = files.read(name).decode("utf-8-sig", "replace")
    if "\ufffd" in text:
        pytest.skip("no text an editor could show: save the file as UTF-8")
    case = Case(name, text, tuple(said.sets), tuple(said.profiles), said.environ)
    assert list(faults(case)) == []
