"""The commands that go on with a run, as a person types them."""

from runner.base import visible
from runner.run.manifest import Manifest


def going_on(manifest: Manifest, *more: str) -> str:
    """Return the command that goes on with the very run, with the options it was asked for with.

    `more` are further options that change it.
    """
    smoke = ["--smoke"] if manifest.plan.smoke else []
    words = ["run-recipe", manifest.plan.file, *smoke, *manifest.options, *more, "--resume"]
    return visible.words(words)


def rehearsal(manifest: Manifest) -> str:
    """Return the command that tries the recipe of a run at toy scale."""
    words = ["run-recipe", manifest.plan.file, "--smoke", *manifest.options]
    return visible.words(words)
