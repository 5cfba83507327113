"""A script, a command, a configuration or an adapter in, a recipe out that does the same."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from runner import workflow
from runner.base import visible
from runner.base.constants import SUFFIXES
from runner.base.errors import RecipeError
from runner.base.problems import Problem, sort_problems
from runner.catalog import load, project
from runner.importer import script, write_recipe
from runner.importer.bash import PRIVATE
from runner.importer.prune import concede, prune
from runner.importer.prune import plan_of as stages_of
from runner.importer.script import Adoption
from runner.lint import preflight
from runner.plan.compile import Compilation
from runner.recipe import find
from runner.recipe import load as recipes
from runner.system import files, reader

_UNREADABLE = frozenset(
    {"yaml-syntax", "not-utf8", "too-deep", "file-too-large", "alias-bomb", "duplicate-key"}
)
_TOOL = "mlx_lm.lora"
_SHOWN = 3


class ImportResult(Struct, frozen=True, kw_only=True):
    """A recipe's text, and what is to say about it; `sources` are the texts it points into."""

    text: str
    problems: list[Problem]
    sources: dict[str, str]
    stages: int


def from_file(file: str, schema: str = "", leave_out: Sequence[str] = ()) -> ImportResult:
    """Import a script, a -c file, or an adapter_config.json. Raises RecipeError."""
    try:
        text = reader.read(file, reader.SCRIPT).decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError as error:
        hint = "name a script, a -c file or an adapter_config.json; put a command after --"
        raise RecipeError(f"{file} does not exist", hint) from error
    except IsADirectoryError as error:
        hint = f"name {file}/adapter_config.json" if _adapter(file) else "name a file in it"
        raise RecipeError(f"{file} is a folder", hint) from error
    except OSError as error:
        raise RecipeError(f"cannot read {file}: {reader.reason(error)}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{file} is not text", "is it a script or a configuration?") from error
    if PRIVATE.search(text):
        hint = "import cannot read text that contains U+E000 or U+E001"
        raise RecipeError(f"{file} contains a private-use character", hint)
    if file.endswith(".jsonl") or (not file.endswith(".json") and _is_json_rows(text)):
        hint = find.rows_hint(str(Path(file).parent))
        raise RecipeError(f"{file} contains rows of data, not commands", hint)
    if file.endswith(".json"):
        return _of_adapter(text, file, schema)
    if file.endswith(SUFFIXES):
        return _of_config(text, file, schema)
    return _result(_adoption(text, file, leave_out), {file: text}, schema)


def from_words(
    words: Sequence[str], schema: str = "", leave_out: Sequence[str] = ()
) -> ImportResult:
    """Import one command. Raises RecipeError."""
    line = shlex.join(words)
    name = "the command"
    if PRIVATE.search(line):
        raise RecipeError(f"{name} contains a character that recipes cannot contain")
    return _result(_adoption(line, name, leave_out), {name: line}, schema)


def _adoption(text: str, name: str, leave_out: Sequence[str] = ()) -> Adoption:
    """Adopt the commands of a text; of what they read only the project's own files are quoted.

    Raises RecipeError if nothing is there of what is to be left out.
    """
    read = project.of(name).settings(files.read)
    adoption = script.adopt(text, name, load.catalog(), read, leave_out)
    if adoption.unused:
        hint = "write the first words of a command as import prints it"
        raise RecipeError(f"no command in {name} starts with '{adoption.unused[0]}'", hint)
    return adoption


def _is_json_rows(text: str) -> bool:
    first = text.lstrip().partition("\n")[0]
    try:
        return bool(reader.json_object(first.encode()))
    except (reader.NotJsonError, UnicodeEncodeError):
        return False


def _of_config(text: str, file: str, schema: str) -> ImportResult:
    if find.is_recipe(Path(file)):
        raise RecipeError(
            f"{file} is a recipe already", f"run: run-recipe check {visible.word(file)}"
        )
    return _result(_config_adoption(file), {file: text}, schema)


def _of_adapter(text: str, file: str, schema: str) -> ImportResult:
    try:
        config = reader.json_object(text.encode())
    except reader.NotJsonError as error:
        raise RecipeError(f"{file} cannot be imported: {error}") from error
    if "peft_type" in config:
        hint = "import reads adapter_config.json as mlx_lm.lora writes it"
        raise RecipeError(f"{file} is not an adapter of mlx-lm", hint)
    adoption = _config_adoption(file)
    adoption.terse = True  # it records every parameter: only what is no default was chosen
    for stage in adoption.stages:  # the file that was read then is no key that is ignored now
        stage.notes = [note for note in stage.notes if note.about != ("config",)]
        value = stage.values.pop("adapter_path", None)
        if value is not None:
            why = f"adapter_path: {value.value} is left out: new trainings use the run folder"
            stage.notes.append(
                Problem(mark=value.mark, message=why, rule="left-out", severity="warning")
            )
    return _result(adoption, {file: text}, schema)


def _config_adoption(file: str) -> Adoption:
    """Adopt the command that a configuration file is for."""
    line = shlex.join([_TOOL, "--config", file])
    return _adoption(line, file)


def _adapter(folder: str) -> bool:
    return (Path(folder) / "adapter_config.json").exists()


def _result(adoption: Adoption, sources: dict[str, str], schema: str) -> ImportResult:
    if not adoption.stages:
        hint = "it reads mlx_lm commands, as mlx_lm.lora --model … or python -m mlx_lm lora …"
        lines = [f"line {one.mark.line}: {one.message}" for one in adoption.problems]
        more = [f"… ({len(lines) - _SHOWN} more)"] if len(lines) > _SHOWN else []
        lines = [*lines[:_SHOWN], *more]
        raise RecipeError(
            f"there is no command to import in {adoption.file}", "; ".join(lines) or hint
        )
    if not adoption.own:
        prune(adoption, load.catalog())
        concede(adoption, preflight.facts(stages_of(adoption)), load.catalog())
    text = write_recipe.recipe_text(adoption, schema)
    name = "the-recipe"
    source, result = _compile(text, name)
    _readable(source, adoption.file)
    problems = [*adoption.problems, *(note for stage in adoption.stages for note in stage.notes)]
    if not any(one.severity == "error" for one in problems):  # a check tells the rest then
        recipe_problems = [*source.problems, *(result.problems if result else ())]
        problems += [one for one in recipe_problems if one.severity == "error" and not _asks(one)]
    here = project.of(adoption.file)
    for mark in {one.mark for one in problems}:
        if mark.file not in sources and Path(mark.file).is_file() and here.holds(mark.file):
            sources[mark.file] = files.read(mark.file).decode("utf-8", "replace")
    sources[name] = text
    return ImportResult(
        text=text, problems=sort_problems(problems), sources=sources, stages=len(adoption.stages)
    )


def _readable(source: recipes.LoadResult, file: str) -> None:
    """Refuse a recipe that could not be read back. Raises RecipeError."""
    problem = next((one for one in source.problems if one.rule in _UNREADABLE), None)
    if problem is not None:
        why = f"{file} cannot be written as a recipe: {problem.message}"
        raise RecipeError(why, "remove it, and import again")


def _asks(problem: Problem) -> bool:
    """Return whether all that a recipe lacks is a variable of the environment."""
    return problem.rule == "undefined" and problem.about[:1] == ("env",)


def _compile(text: str, name: str) -> tuple[recipes.LoadResult, Compilation | None]:
    """Compile a recipe that is not a file yet, in an empty environment."""
    data = text.encode("utf-8", "surrogatepass")  # half a character is told as what is no UTF-8
    source = recipes.load(name, lambda file: data if file == name else files.read(file))
    if source.recipe is None:
        return source, None
    return source, workflow.compile_recipe(source.recipe, {})
