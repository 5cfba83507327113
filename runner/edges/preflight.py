"""What can be known of a plan before anything runs: the files it names, and every row it reads."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from runner.core.document import RUN_DIR
from runner.core.expect import unknown_figures
from runner.core.plan import Plan, Stage
from runner.core.problem import Problem
from runner.core.rows import Features
from runner.core.rules import Known
from runner.edges import dataset, disk, known, prompts


def facts(plan: Plan) -> Known:
    """Return what this disk says of the paths a plan names."""
    return known.look(plan, known.hub_cache(dict(os.environ)))


def rows(plan: Plan) -> list[Problem]:
    """Return what is wrong with the rows and prompts that the plan reads from this disk.

    A folder that several stages read in the same way is read once; one that a stage of the plan
    makes is not there yet.
    """
    seen: dict[object, list[str]] = {}
    checks = []
    for stage in plan.stages:
        said = _reading(stage)
        if said is None:
            continue
        if said not in seen:
            checks.append(said)
        seen.setdefault(said, []).extend(stage.allow)
    found = [problem for said in checks for problem in _check(said, frozenset(seen[said]))]
    return [*found, *_prompts(plan)]


# Said of a data set as a whole: the rules say them, at the recipe's own line.
OF_SPLITS = frozenset(
    {
        "split-missing",
        "split-smaller-than-batch",
        "rows-never-reached",
        "mask-prompt-with-text",
        "splits-of-two-formats",
    }
)

_Reading = tuple[str, int, bool, Features, tuple[str, ...], int]


def _reading(stage: Stage) -> _Reading | None:
    """Return how a stage reads a folder of this disk, None where it reads none."""
    params = stage.params
    if stage.tool != "mlx_lm.lora" or params["hf_dataset"] is not None:
        return None
    folder = str(params["data"])
    if RUN_DIR in folder or not Path(folder).is_dir():
        return None
    wanted = [split for split, said in (("train", "train"), ("test", "test")) if params[said]]
    names = ("prompt_feature", "completion_feature", "chat_feature", "text_feature")
    features = Features(*(params[name] for name in names))
    batch, longest = params["batch_size"], params["max_seq_length"]
    return folder, batch, bool(params["mask_prompt"]), features, tuple(wanted), longest


def _prompts(plan: Plan) -> Iterator[Problem]:
    """Yield what is wrong with prompts files, and expectations of categories they do not have."""
    ends: dict[str, Collection[str]] = {}
    read = sorted({one for stage in plan.stages for one in known.reads(stage)})
    for path in (path for kind, path in read if kind == "prompts"):
        if Path(path).is_file():
            found = prompts.survey(Path(path))
            yield from found.problems
            ends[path] = [name for name in found.rows if name]
    yield from unknown_figures(plan, disk.catalog(), ends)


def _check(said: _Reading, allowed: Collection[str]) -> Iterator[Problem]:
    folder, batch_size, mask_prompt, features, wanted, max_seq_length = said
    report = dataset.check(
        folder,
        batch_size=batch_size,
        mask_prompt=mask_prompt,
        features=features,
        required=wanted,
        max_seq_length=max_seq_length,
    )
    silent = OF_SPLITS | set(allowed)
    yield from (problem for problem in report.problems if problem.rule not in silent)
