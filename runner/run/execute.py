"""A plan -> a run: decided, locked, walked."""

import os
from collections.abc import Sequence
from pathlib import Path

from runner.base.errors import RunError
from runner.catalog.tools import Catalog
from runner.plan.model import Plan
from runner.run import history, idle_resume, signals
from runner.run.attempt import Advise, untried
from runner.run.awake import awake
from runner.run.decide import decide, ready
from runner.run.listener import Reporter
from runner.run.lock import lock
from runner.run.manifest import Manifest
from runner.run.runner import Walk
from runner.run.warm_start import Ahead

RUNNERS = 100
"""So many runners may take a name for a new run before this one does."""


def execute(
    plan: Plan,
    catalog: Catalog,
    runs: Path,
    names: Sequence[str],
    reporter: Reporter,
    before: Manifest | None = None,
    ahead: Ahead | None = None,
    options: tuple[str, ...] = (),
    advise: Advise = untried,
) -> Manifest:
    """Run the named stages of a plan, going on from an earlier run if one is given.

    `ahead` is what was started for a new run already; `options` are the words it was asked for
    with; `advise` knows which changes help a stage that failed. Raises RecipeError before anything
    is made where the run cannot work.
    """
    with signals.heeded():
        decision = decide(plan, catalog, names, before, runs)
        if before is not None and idle_resume.done(plan, before, decision):
            return idle_resume.tell(before, decision, reporter)
        ready(plan, catalog, decision)
        folder = Path(before.folder) if before else _made(plan, runs, ahead)
        if ahead is None or ahead.folder != folder:
            ahead = Ahead(folder, plan, catalog)
        with lock(folder), awake():
            now = history.read(folder) if before else None
            if now is not None and now != before:  # another runner went on while we decided
                before = now
                decision = decide(plan, catalog, names, before, runs)
            run = Walk(plan, catalog, ahead, reporter, before, options, advise)
            return run.walk(decision.actions, decision.wanted)


def _made(plan: Plan, runs: Path, ahead: Ahead | None) -> Path:
    """Return the folder of a new run, made now."""
    if _is_no_text(runs):
        why = f"MLX takes no path that is not UTF-8: {str(runs)!a}"
        raise RunError(why, "choose another --runs")
    folder = ahead.folder if ahead else history.fresh(runs, plan.name)
    try:
        history.found(runs)
        for _ in range(RUNNERS):
            try:
                folder.mkdir(parents=True)
            except FileExistsError:  # another runner was faster
                if not os.path.lexists(folder):  # no: it is a link to nowhere above it
                    raise
                folder = history.fresh(runs, plan.name)
            else:
                return folder
    except OSError as error:
        why = f"cannot make {folder}: {error.strerror}"
        raise RunError(why, "choose another --runs") from error
    raise RunError(f"others take every new name in {runs}", "choose another --runs")


def _is_no_text(path: Path) -> bool:
    """Say whether a path is no UTF-8, which every system allows and MLX does not."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return True
    return False
