"""The commands that resume a run, as a user types them."""

from collections.abc import Collection, Sequence
from itertools import pairwise

from runner.base import visible
from runner.base.constants import RUN_DIR
from runner.catalog.architectures import Architectures
from runner.catalog.tools import Catalog
from runner.plan import smoke
from runner.plan.inputs import readings
from runner.plan.model import Plan
from runner.plan.stand_ins import NoStandInError
from runner.runs.manifest import Manifest

_DATA = frozenset({"data", "dataset"})


def going_on(manifest: Manifest, *more: str) -> str:
    """Return the command that resumes the run, with the options it was started with.

    `more` are ``--set`` options that change it; each replaces an earlier one for the same path.
    """
    smoke = ["--smoke"] if manifest.plan.smoke else []
    options = _without(manifest.options, {word.partition("=")[0] for word in more})
    sets = [word for one in more for word in ("--set", one)]
    return visible.words(["run-recipe", manifest.plan.file, *smoke, *options, *sets, "--resume"])


def _without(options: Sequence[str], paths: Collection[str]) -> list[str]:
    """Return options, each a name and its value, without those that set one of these paths."""
    places = {
        at + word
        for at, (name, value) in enumerate(pairwise(options))
        if name == "--set" and value.partition("=")[0] in paths
        for word in (0, 1)
    }
    return [word for at, word in enumerate(options) if at not in places]


def rehearsal(manifest: Manifest) -> str:
    """Return the command that tries the recipe of a run at toy scale."""
    words = ["run-recipe", manifest.plan.file, "--smoke", *manifest.options]
    return visible.words(words)


def rehearsal_data(plan: Plan, catalog: Catalog, kinds: Architectures) -> list[str] | None:
    """Return the data from outside that a plan reads at toy scale, None if it does not run so.

    Data that is not a path on this disk is looked up on the hub.
    """
    try:
        small = smoke.shrink(plan, catalog, kinds, {})
    except NoStandInError:
        return None
    each = (one for stage in small.stages for one in readings(stage, catalog))
    outside = [one.path for one in each if one.kind in _DATA and RUN_DIR not in one.path]
    return [path for path in outside if small.maker(path) is None]
