"""The verbs: each parses, calls, prints and exits. Payload on stdout, the rest on stderr."""

import errno
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from runner import __version__
from runner.errors import Exit, InvalidRecipeError, RecipeError

F = TypeVar("F", bound=Callable[..., Any])


class Verbs(click.Group):
    """A group whose default verb is ``run``: ``run-recipe RECIPE`` runs it."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take a first word that is a file, or looks like one, for a recipe to run."""
        word = args[0]
        if word not in self.commands and _is_recipe(word):
            args = ["run", *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let the options of ``run`` stand before the recipe, too."""
        words = [word for word in args if not word.startswith("-")]
        leads = args and args[0].startswith("-") and args[0] not in {"--help", "--version", "-h"}
        if leads and any(_is_recipe(word) for word in words):
            args = ["run", *args]
        return super().parse_args(ctx, args)


def _is_recipe(word: str) -> bool:
    return word.endswith((".yaml", ".yml")) or word.startswith("builtin:") or Path(word).is_file()


def main() -> None:
    """Run the command line; known errors are a sentence and an exit code."""
    sys.excepthook = _surprise
    try:
        sys.exit(cli(standalone_mode=False) or Exit.OK)
    except InvalidRecipeError as error:
        click.echo(str(error), err=True)
        count = len(error.problems)
        click.echo(f"{count} problem{'s' * (count != 1)}", err=True)
        sys.exit(error.code)
    except RecipeError as error:
        _complain(str(error), error.hint)
        sys.exit(error.code)
    except click.UsageError as error:
        error.show()
        sys.exit(Exit.INVALID)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(Exit.STAGE_FAILED)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        hint = "free some space, and go on with --resume" if full else ""
        _complain(f"{error.filename or 'the disk'}: {error.strerror or error}", hint)
        sys.exit(Exit.STAGE_FAILED)


def _surprise(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Say that an error is ours, with what a report of it needs."""
    import platform
    import traceback

    traceback.print_exception(kind, error, trace)
    version = f"run-recipe {__version__}, Python {platform.python_version()}, {platform.platform()}"
    _complain(
        f"this is a mistake in run-recipe, not in your recipe ({version})", "please report it"
    )
    sys.exit(Exit.INTERNAL)


def _complain(message: str, hint: str = "") -> None:
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"  hint: {hint}", err=True)


def _with(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_set = click.option(
    "--set", "sets", metavar="PATH=VALUE", multiple=True, help="Override a value, typed as YAML."
)
_profile = click.option(
    "--profile", "profiles", metavar="NAME", multiple=True, help="Lay a profile over the recipe."
)
_smoke = click.option("--smoke", is_flag=True, help="Run at toy scale, with a tiny random model.")
_format = click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="What to print.",
)
_runs = click.option(
    "--runs", default="runs", show_default=True, help="Folder that holds the runs."
)
_stages = _with(
    click.option("--only", metavar="STAGE", multiple=True, help="Only this stage (repeatable)."),
    click.option("--from", "first", metavar="STAGE", help="Start at this stage."),
    click.option("--to", "last", metavar="STAGE", help="Stop after this stage."),
)
_color = click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colours; NO_COLOR is respected.",
)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="run-recipe")
def cli() -> None:
    """Run declarative recipes for Apple's MLX: run-recipe RECIPE."""


@cli.command()
@click.argument("recipe")
@_with(_set, _profile, _smoke, _stages, _format, _color, _runs)
@click.option("-n", "--dry-run", is_flag=True, help="Print the shell script instead of running.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what goes wrong.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[RUN]",
    help="Go on from a run: the newest, or RUN.",
)
def run(
    recipe: str,
    sets: tuple[str, ...],
    profiles: tuple[str, ...],
    smoke: bool,
    only: tuple[str, ...],
    first: str | None,
    last: str | None,
    style: str,
    color: str,
    dry_run: bool,
    runs: str,
    quiet: bool,
    resume: str | None,
) -> int:
    """Run a recipe."""
    from runner import workflow
    from runner.core.problem import picture
    from runner.edges import disk

    loaded = workflow.load(recipe, profiles, sets)
    compiled = workflow.compiled(loaded)
    plan = workflow.plan(compiled, loaded, smoke=smoke)
    names = workflow.select(plan, only, first, last)
    found = workflow.judged(compiled) if dry_run else workflow.examined(compiled, smoke=smoke)
    for warning in workflow.refuse(found, loaded.sources):
        if style == "json":
            click.echo(json.dumps({"event": "problem", **warning.as_dict()}))
        elif not quiet:
            click.echo(picture(warning, loaded.sources), err=True)
    before = None
    if resume is not None:
        from runner.edges import history

        before = history.to_resume(Path(runs), resume, plan)
    if dry_run and style == "json":
        raise RecipeError("a dry run prints a script, not JSON", "leave one of them out")
    if dry_run and before is not None:
        from runner.edges.execute import decide

        click.echo("\n".join(map(str, decide(plan, disk.installed_catalog(), names, before)[1])))
        return Exit.OK
    if dry_run:
        from dataclasses import replace

        from runner.core.script import script

        chosen = tuple(stage for stage in plan.stages if stage.name in names)
        click.echo(script(replace(plan, stages=chosen), disk.catalog()), nl=False)
        return Exit.OK
    from runner.edges.execute import execute
    from runner.edges.terminal import reporter

    forecasts = [str(one) for one in workflow.forecasts(compiled) if one.stage in names]
    with reporter(style, color, quiet=quiet, notes=forecasts) as report:
        manifest = execute(plan, disk.installed_catalog(), Path(runs), names, report, before)
    return manifest.exit_code


@cli.command()
@click.argument("recipes", nargs=-1, required=True)
@_with(_set, _profile, _format)
@click.option("--mlx", is_flag=True, help="Also ask the installed tools' own parsers.")
def check(
    recipes: tuple[str, ...],
    sets: tuple[str, ...],
    profiles: tuple[str, ...],
    style: str,
    mlx: bool,
) -> int:
    """Report every problem of every recipe."""
    from runner import workflow
    from runner.core.problem import ordered, picture

    failed = False
    found: list[dict[str, Any]] = []
    for recipe in recipes:
        loaded = workflow.read(recipe, profiles, sets)
        problems = ordered(workflow.problems(loaded))
        forecasts: list[Any] = []
        if loaded.recipe is not None and not problems:
            compiled = workflow.compiled(loaded.recipe)
            problems = workflow.examined(compiled)
            forecasts = workflow.forecasts(compiled)
            if mlx and not any(problem.severity == "error" for problem in problems):
                problems += workflow.rehearsed(loaded.recipe)
        failed = failed or any(problem.severity == "error" for problem in problems)
        if style == "json":
            found += [{"recipe": recipe, **problem.as_dict()} for problem in problems]
            continue
        for problem in problems:
            click.echo(picture(problem, loaded.sources))
        for forecast in forecasts:
            click.echo(str(forecast))
        count = len(problems)
        click.echo(f"{recipe}: {count or 'no'} problem{'s' * (count != 1)}", err=True)
    if style == "json":
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    return Exit.INVALID if failed else Exit.OK


@cli.command()
@click.argument("recipe")
@click.argument("path", required=False)
@_with(_set, _profile, _format)
def show(
    recipe: str, path: str | None, sets: tuple[str, ...], profiles: tuple[str, ...], style: str
) -> int:
    """Show the resolved values, each with where it comes from and what it overrode."""
    from dataclasses import asdict

    from runner import workflow
    from runner.core.provenance import origins
    from runner.edges import disk

    loaded = workflow.load(recipe, profiles, sets)
    compiled = workflow.compiled(loaded)
    plan = workflow.plan(compiled, loaded)
    rows = [
        origin
        for stage in plan.stages
        if (tool := disk.catalog().get(stage.tool))
        for origin in origins(stage, compiled.resolver.drafts[stage.name], tool)
        if _below(f"stages.{stage.name}.params.{origin.parameter}", path)
    ]
    if path and not rows:
        raise RecipeError(f"the recipe has no '{path}'", "paths look like stages.NAME.params.NAME")
    if style == "json":
        click.echo(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False))
        return Exit.OK
    stage = ""
    for row in rows:
        if row.stage != stage:
            stage = row.stage
            click.echo(f"{stage}: {plan.stage(stage).tool}")
        over = "".join(f" over {loser}" for loser in row.losers)
        click.echo(f"  {row.parameter} = {_yaml(row.value)}  <- {row.winner}{over}")
    return Exit.OK


def _below(name: str, path: str | None) -> bool:
    known = (
        name,
        name.removeprefix("stages."),
        name.removeprefix("stages.").replace(".params", "", 1),
    )
    return path is None or any(n == path or n.startswith((f"{path}.", f"{path}[")) for n in known)


def _yaml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@cli.command()
@click.argument("name", metavar="[TOOL]", required=False)
@click.option("--drift", is_flag=True, help="Compare with the installed mlx-lm instead (exit 3).")
@_format
def tools(name: str | None, drift: bool, style: str) -> int:
    """List the tools; for one, its parameters and how each reaches the command."""
    from runner.edges import disk

    catalog = disk.catalog()
    if drift:
        return _drifted(name, style)
    if name is None:
        rows = {known: tool.description for known in catalog.names if (tool := catalog.get(known))}
        width = max(map(len, rows))
        text = "\n".join(f"{known:{width}}  {what}" for known, what in rows.items())
        click.echo(json.dumps(rows, indent=2) if style == "json" else text)
        return Exit.OK
    tool = catalog.get(name)
    if tool is None:
        from runner.core.problem import suggest

        raise RecipeError(f"there is no tool '{name}'", suggest(name, catalog.names))
    if style == "json":
        click.echo(json.dumps(tool.schema, indent=2, ensure_ascii=False))
        return Exit.OK
    click.echo(f"{tool.name}: {tool.description}\n")
    for parameter in tool.parameters.values():
        kinds = parameter.schema.get("type", "")
        kind = " or ".join(kinds) if isinstance(kinds, list) else kinds
        way = parameter.flag or f"in the {tool.config_flag} file"
        click.echo(f"  {parameter.name}  ({kind}, default {_yaml(parameter.default)}, {way})")
        click.echo(f"      {parameter.schema['description']}")
    return Exit.OK


@cli.command("runs")
@click.argument("recipe", required=False)
@_with(_runs, _format)
def runs_(recipe: str | None, runs: str, style: str) -> int:
    """List the runs, the newest last."""
    from runner.edges import history
    from runner.edges.terminal import line

    known = history.find_all(Path(runs), recipe)
    if style == "json":
        rows = [
            {"id": m.id, "folder": m.folder, "state": m.state, "started": m.started} for m in known
        ]
        click.echo(json.dumps(rows, indent=2))
    else:
        click.echo("\n".join(line(manifest) for manifest in known) or f"no runs in {runs}")
    return Exit.OK


@cli.command()
@click.argument("run", required=False)
@_with(_runs, _format)
def status(run: str | None, runs: str, style: str) -> int:
    """Say where a run stands: the newest, or RUN (its id or folder)."""
    from runner.edges import history
    from runner.edges.terminal import standing

    manifest = history.find(Path(runs), run)
    if style == "json":
        click.echo(json.dumps(manifest.as_dict(), indent=2))
    else:
        click.echo(standing(manifest, alive=history.alive(manifest)))
    return Exit.OK


@cli.command()
@click.argument("run", required=False)
@_with(_runs, _format)
def audit(run: str | None, runs: str, style: str) -> int:
    """Hold what MLX got against the plan, for every parameter of every stage of a run."""
    from runner.core.audit import sentence, table
    from runner.core.manifest import State
    from runner.edges import history

    manifest = history.find(Path(runs), run)
    rows = history.audits(manifest)
    wrong = any(not verdict.equal for verdicts in rows.values() for verdict in verdicts)
    if style == "json":
        said = {name: [verdict.as_dict() for verdict in rows[name]] for name in rows}
        click.echo(json.dumps(said, indent=2, default=str))
        return Exit.AUDIT if wrong else Exit.OK
    for name, verdicts in rows.items():
        used = manifest.stage(name).state is State.FINISHED
        click.echo(f"{name}: {sentence(verdicts, used=used)}")
        click.echo("\n".join(f"  {row}" for row in table(verdicts)))
    every = [verdict for verdicts in rows.values() for verdict in verdicts]
    unseen = [r.name for r in manifest.stages if r.state is State.FINISHED and r.name not in rows]
    for name in unseen:
        click.echo(f"{name}: finished, and nothing says with what")
    used = any(record.state is State.FINISHED for record in manifest.stages)
    none = "no stage of this run has been audited"
    click.echo(sentence(every, used=used) if every else none)
    return Exit.AUDIT if wrong or unseen or not every else Exit.OK


def _drifted(name: str | None, style: str) -> int:
    from runner import workflow

    differences, unavailable = workflow.drift([name] if name else [])
    if style == "json":
        click.echo(json.dumps({"differences": differences, "unavailable": unavailable}, indent=2))
    else:
        click.echo("\n".join(differences) or "the catalogue agrees with what is installed")
        for tool, reason in unavailable.items():
            click.echo(f"{tool}: not compared: {reason}", err=True)
    return Exit.DRIFT if differences else Exit.OK


@cli.command("rules")
@click.argument("slug", required=False)
@_format
def rules_(slug: str | None, style: str) -> int:
    """List the rules; for one, its page."""
    from runner.core.problem import suggest
    from runner.core.rules import rules

    known = rules()
    if slug is not None and slug not in known:
        raise RecipeError(f"there is no rule '{slug}'", suggest(slug, known))
    chosen = [known[slug]] if slug else list(known.values())
    if style == "json":
        rows = [
            {"slug": one.slug, "severity": one.severity, "traps": one.traps, "page": one.page}
            for one in chosen
        ]
        click.echo(json.dumps(rows, indent=2))
        return Exit.OK
    if slug:
        traps = f" ({', '.join(chosen[0].traps)})" if chosen[0].traps else ""
        click.echo(f"{slug}: {chosen[0].severity}{traps}\n\n{chosen[0].page}")
        return Exit.OK
    width = max(map(len, known))
    for one in chosen:
        click.echo(f"{one.slug:{width}}  {one.severity:7}  {one.summary}")
    return Exit.OK


@cli.command()
@_format
def doctor(style: str) -> int:
    """Say whether this machine is fit to run recipes, and what to do where it is not."""
    from dataclasses import asdict

    from runner import workflow
    from runner.core.health import examine, fit
    from runner.edges import probe

    facts = probe.health()
    differences, _ = workflow.drift([]) if "mlx-lm" in facts["packages"] else ([], {})
    findings = examine(facts, differences)
    if style == "json":
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        signs = {"good": "ok", "warning": "warning", "unfit": "NOT FIT"}
        for finding in findings:
            click.echo(f"{signs[finding.level]:8} {finding.subject}: {finding.detail}")
            if finding.hint:
                click.echo(f"         hint: {finding.hint}")
        click.echo("fit to run recipes" if fit(findings) else "not fit to run recipes")
    return Exit.OK if fit(findings) else Exit.UNFIT


@cli.command()
def schema() -> int:
    """Print the JSON Schema of a recipe, for editors."""
    from runner.core.editor import recipe_schema
    from runner.core.invocation import laid_out
    from runner.edges import disk

    click.echo(laid_out(recipe_schema(disk.envelope(), disk.catalog())))
    return Exit.OK


_PASS = {"ignore_unknown_options": True, "help_option_names": []}


@cli.group()
def data() -> None:
    """Work on data sets."""


@data.command("mix", context_settings=_PASS)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def data_mix(arguments: tuple[str, ...]) -> int:
    """Mix replay rows of an earlier data set into a new one."""
    from runner.tools import mix

    mix.main(list(arguments))
    return Exit.OK


@data.command("check", context_settings=_PASS)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def data_check(arguments: tuple[str, ...]) -> int:
    """Look at every row of a data set."""
    from runner.tools import check

    return check.main(list(arguments))


@cli.group()
def model() -> None:
    """Work on models."""


@model.command("tiny", context_settings=_PASS)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def model_tiny(arguments: tuple[str, ...]) -> int:
    """Make a tiny random model."""
    from runner.tools import tiny

    tiny.main(list(arguments))
    return Exit.OK
