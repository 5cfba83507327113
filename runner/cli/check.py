"""The verb check."""

from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from runner.base import visible
from runner.base.constants import ENDING
from runner.base.errors import Exit
from runner.cli import options
from runner.system import printer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.base.problems import Mark
    from runner.cli.check_files import FileCheck


@click.command("check")
@click.argument(
    "recipes",
    metavar="RECIPE|FOLDER…",
    nargs=-1,
    required=True,
    shell_complete=options.completes("recipes"),
)
@options.together(options.overrides, options.profiles)
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
    help="Output format; github prints workflow annotations.",
)
@click.option("--mlx", is_flag=True, help="Also check with the parsers of the installed tools.")
@click.option(
    "--trust-tools",
    is_flag=True,
    help="With --mlx, also check the tools that come with a recipe; remembered.",
)
@click.option("--tests", is_flag=True, help="Also run the NAME.test.yaml next to each recipe.")
def command(
    recipes: tuple[str, ...],
    sets: tuple[str, ...],
    profiles: tuple[str, ...],
    style: str,
    mlx: bool,
    trust_tools: bool,
    tests: bool,
) -> int:
    """Report every problem in recipes, or in a folder of recipes.

    Each recipe is checked as it is and with each of its profiles, or only with those given by
    --profile.
    """
    from runner.cli import check_files

    files = check_files.files(recipes, tests=tests)
    request = check_files.CheckRequest(
        profiles=profiles, sets=sets, mlx=mlx, trust_tools=trust_tools
    )
    every: list[FileCheck] = []
    told: dict[tuple[Mark, str], str] = {}
    for file in check_files.check(files, recipes, request):
        every.append(file)
        if style == "text":
            _print(file, told, alone=len(files) == 1)
    if style == "text":
        printer.say(_total(every))
    else:
        _write(every, style)
    wrong = any(problem.severity == "error" for one in every for problem in one.problems)
    return Exit.INVALID if wrong else Exit.OK


def _print(file: "FileCheck", told: "dict[tuple[Mark, str], str]", *, alone: bool) -> None:
    """Print what was found in a file; of several, under its name.

    What a base says is explained at the first recipe that inherits it; `told` remembers at which.
    """
    if file.lacks:
        names = " and ".join(f"'{name}'" for name in file.lacks)
        printer.say(f"{file.file}: skipped: it has no profile {names}")
        return
    if not alone:
        printer.show(file.verdict)
    if file.problems:
        from runner.base.problems import pictures

        fresh = [one for one in file.problems if (one.mark, one.message) not in told]
        for picture in pictures(fresh, file.sources):
            printer.show(picture)
        for one in file.problems:
            first = told.get((one.mark, one.message))
            if first is not None:
                printer.show(
                    f"{one.mark}: {one.severity}, as in {visible.line(first)} [{one.rule}]"
                )
        told.update(((one.mark, one.message), file.file) for one in fresh)
    for whole, short in file.budgets:
        printer.show(whole if alone else f"  {short}")


def _total(every: "Sequence[FileCheck]") -> str:
    from runner.base.problems import plural, tally

    looked = [one for one in every if not one.lacks]
    if len(every) == 1:
        return looked[0].verdict
    tests = sum(one.file.endswith(ENDING) for one in looked)
    bases = sum(one.base for one in looked)
    counts = {"recipe": len(looked) - tests - bases, "base": bases, "test file": tests}
    parts = [plural(count, what) for what, count in counts.items() if count]
    whole = {(one.mark, one.message): one for file in looked for one in file.problems}
    return f"{', '.join(parts)}: {tally(whole.values())}"


def _write(every: "Sequence[FileCheck]", style: str) -> None:
    from runner.base.problems import limit_problems, sort_problems
    from runner.base.version import __version__
    from runner.lint.rule import rules
    from runner.report.annotations import sarif, workflow_command
    from runner.system import git

    workspace_name = git.in_workspace()
    every = [replace(one, problems=limit_problems(one.problems)) for one in every]
    problems = sort_problems(problem for one in every for problem in one.problems)
    if style == "github":
        printer.payload("".join(f"{workflow_command(one, workspace_name)}\n" for one in problems))
    elif style == "sarif":
        pages = {slug: rule.page for slug, rule in rules().items()}
        printer.show_json(sarif(problems, __version__, pages, workspace_name))
    else:
        printer.show_json(
            [{"recipe": one.file, **finding.as_dict()} for one in every for finding in one.problems]
        )
