"""A plan -> a run: decided, locked, walked."""

import os
from pathlib import Path

from msgspec.structs import replace

from runner.base.errors import RunError
from runner.catalog import load
from runner.runs import history, idle_resume
from runner.runs.awake import awake
from runner.runs.decide import Decision, decide, ready
from runner.runs.job import Job
from runner.runs.listener import Reporter
from runner.runs.lock import lock
from runner.runs.manifest import Manifest
from runner.runs.runner import Run
from runner.runs.warm_start import WarmStart

RUNNERS = 100
"""So many runners may take a name for a new run before this one does."""


def execute(job: Job, decision: Decision, ahead: WarmStart, reporter: Reporter) -> Manifest:
    """Do what was decided for a job; `ahead` is what was started for it already.

    Raises RecipeError before anything is made if the run cannot work.
    """
    plan, before = job.plan, job.before
    catalog = load.installed_catalog(plan.tools)
    if before is not None and idle_resume.done(plan, before, decision):
        return idle_resume.tell(before, decision, reporter)
    ready(plan, catalog, decision)
    folder = Path(before.folder) if before else _new_folder(job, ahead)
    if ahead.folder != folder:
        ahead = WarmStart(folder, plan, catalog)
    with lock(folder), awake():
        now = history.read(folder) if before else None
        if now is not None and now != before:  # another runner went on while we decided
            job = replace(job, before=now)
            decision = decide(plan, catalog, job.names, now, job.runs, job.search)
        return Run(job, catalog, ahead, reporter).walk(decision)


def _new_folder(job: Job, ahead: WarmStart) -> Path:
    plan, runs = job.plan, job.runs
    if _is_no_text(runs):
        why = f"MLX only accepts UTF-8 paths: {str(runs)!a}"
        raise RunError(why, "choose another --runs")
    folder = ahead.folder
    try:
        history.make_folder(runs)
        for _ in range(RUNNERS):
            try:
                folder.mkdir(parents=True)
            except FileExistsError:  # another runner was faster
                if not os.path.lexists(folder):  # no: it is a link to nowhere above it
                    raise
                folder = history.fresh(runs, plan.name, job.label)
            else:
                return folder
    except OSError as error:
        why = f"cannot make {folder}: {error.strerror}"
        raise RunError(why, "choose another --runs") from error
    raise RunError(f"every new name in {runs} is taken by other runs", "choose another --runs")


def _is_no_text(path: Path) -> bool:
    """Return whether a path is no UTF-8, which every system allows and MLX does not."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return True
    return False
