"""The commands that go on with a run, as a person types them."""

from collections.abc import Collection, Sequence
from itertools import pairwise

from runner.base import visible
from runner.runs.manifest import Manifest


def going_on(manifest: Manifest, *more: str) -> str:
    """Return the command that goes on with the very run, with the options it was asked for with.

    `more` are ``--set`` options that change it; each takes the place of the one that said its path.
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
