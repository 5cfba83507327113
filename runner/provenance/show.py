"""Origins of values in; what a person reads about them out, and JSON."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.formatting import pretty_json
from runner.base.problems import Mark, lines_of, nearest
from runner.plan.model import Plan
from runner.provenance.origins import NOTHING, Origin, Removal, Statement
from runner.recipe.merge import ENVIRONMENT, SET
from runner.recipe.template.render import is_template

Json = dict[str, Any]
MAX_TRAIL, MAX_LINES = 20, 20_000
"""Lines on what one value was made of, and on what all values were."""
MAX_LOSERS = 20
_SINGULAR = {"stage": "stages", "var": "vars"}


class Formatter(Struct, frozen=True, kw_only=True):
    """What is needed to tell of origins: all of them by path, and the texts they are in."""

    origins: Mapping[str, Origin]
    sources: Mapping[str, str]

    def place(self, mark: Mark) -> str:
        """Return a place as ``file:line``; of an option the option itself."""
        if mark.file not in {SET, ENVIRONMENT}:
            return f"{mark.file}:{mark.line}"
        rows = lines_of(self.sources.get(mark.file, ""))
        line = rows[mark.line - 1] if 0 < mark.line <= len(rows) else ""
        return f"{SET} {line}" if mark.file == SET else line

    def row(self, origin: Origin) -> str:
        """Return one value with the place that set it and what it overrode."""
        return f"{origin.name} = {pretty_json(origin.value, width=10_000)}  <- {self.chain(origin)}"

    def chain(self, origin: Origin) -> str:
        """Return the place that set a value, and everything it overrode."""
        first = self.statement(origin.winner) if origin.winner else origin.because
        if origin.winner and origin.because:
            first += f" ({origin.because})"
        nearest = origin.losers[:MAX_LOSERS]
        words = [first, *(self.statement(loser, loses=True) for loser in nearest)]
        if origin.losers[MAX_LOSERS:]:
            words.append(f"{len(origin.losers) - MAX_LOSERS} more")
        if origin.default is not NOTHING and origin.because != f"{origin.maker} default":
            words.append(f"{origin.maker} default {pretty_json(origin.default, width=80)}")
        return " over ".join(words)

    def statement(self, statement: Statement, *, loses: bool = False) -> str:
        """Return a place with its text where that tells more than the value does."""
        where = self.place(statement.mark) if statement.mark else str(statement.text)
        if isinstance(statement.text, Removal):
            return f"{where} {statement.text}"
        text = (
            statement.text
            if isinstance(statement.text, str)
            else pretty_json(statement.text, width=10_000)
        )
        scalar = not isinstance(statement.text, dict | list)
        plain = (
            loses and scalar and statement.mark and statement.mark.file not in {SET, ENVIRONMENT}
        )
        tells = plain or is_template(text) or text.startswith("budget:")
        return f"{where} {text}" if tells else where

    @property
    def most(self) -> int:
        """How many lines are told of what a value was made of: of many values fewer each."""
        return max(1, min(MAX_TRAIL, MAX_LINES // max(1, len(self.origins))))

    def trail(self, origin: Origin) -> Iterator[str]:
        """Yield what a value was made of, a line each, and how many are left out."""
        for statement in origin.trail[: self.most]:
            whole = self.origins.get(statement.name)
            value = pretty_json(statement.value, width=80)
            chain = self.chain(whole) if whole else self.statement(statement)
            yield f"{statement.name} = {value}  <- {chain}"
        rest = len(origin.trail) - self.most
        if rest > 0:
            yield f"… ({'more than ' * origin.cut}{rest} more not shown)"


class LineUse(Struct, kw_only=True):
    """What one line of a file says, and the values it became or lost."""

    statement: Statement
    became: dict[str, list[str]] = field(default_factory=dict)
    overruled: dict[str, list[str]] = field(default_factory=dict)


class SharedLine(Struct, frozen=True, kw_only=True):
    """What one line says, and each outcome of it: recipes that have it, with their stages."""

    statement: Statement
    outcomes: dict[str, dict[str, list[str]]] = field(default_factory=dict)


def text(rows: Iterable[Origin], plan: Plan, formatter: Formatter) -> str:
    """Return values with their places, stage by stage."""
    lines: list[str] = []
    group = ""
    for row in rows:
        whole = row.path.partition(".")[0]
        head = f"{row.stage}: {plan.stage(row.stage).tool}" if row.stage else whole
        if head != group:
            group = head
            lines.append(head)
        lines.append(f"  {formatter.row(row)}")
        lines += [f"      {line}" for line in formatter.trail(row)]
    return "\n".join(lines)


def as_dict(row: Origin, formatter: Formatter) -> Json:
    """Return one value with its places as JSON-ready values."""
    return {
        "path": row.path,
        "stage": row.stage,
        "name": row.name,
        "value": row.value,
        "changed": row.changed,
        **_chain(row),
        "trail": [
            {
                "name": one.name,
                "value": one.value,
                **_statement_dict(one),
                **_overrides(one, formatter),
            }
            for one in row.trail[: formatter.most]
        ],
        **({"left_out": True} if row.cut or len(row.trail) > formatter.most else {}),
    }


def find(rows: Sequence[Origin], path: str) -> list[Origin]:
    """Return the values at a path: of a stage, inside it, of the vars, or a parameter anywhere."""
    whole = [row for row in rows if any(_below(name, path) for name in _names(row))]
    return whole or [row for row in rows if row.stage and _below(row.name, path)]


def near(rows: Sequence[Origin], path: str) -> str:
    """Return how to fix it if nothing is at a path."""
    first, _, rest = path.partition(".")
    plural = _SINGULAR.get(first)
    if plural and find(rows, f"{plural}.{rest}"):
        return f"write {plural}.{rest}"
    words = path.removeprefix("stages.").replace(".params.", ".", 1)
    stages = dict.fromkeys(row.stage for row in rows if row.stage)
    names = [f"{row.stage}.{row.name}" for row in rows if row.stage]
    names += [*stages, *(row.path for row in rows if not row.stage)]
    parts = {name[:at] for name in names for at in range(len(name)) if name[at] == "."}
    beside = [name for name in (*names, *sorted(parts)) if name.count(".") == words.count(".")]
    near = nearest(words, beside) or nearest(words, names) or _inside(rows, words)
    otherwise = "paths look like STAGE.PARAMETER, STAGE, vars.NAME or PARAMETER"
    return f"did you mean '{near}'?" if near else otherwise


def _inside(rows: Sequence[Origin], words: str) -> str:
    """Return the path of the value that is called so inside of a mapping, "" for none."""
    paths: dict[str, str] = {}
    for row in (row for row in rows if row.stage and "." in row.name):
        last = row.name.rpartition(".")[2]
        paths.setdefault(f"{row.stage}.{last}", f"{row.stage}.{row.name}")
        paths.setdefault(last, row.name)
    return paths.get(nearest(words, paths), "")


def contributions(rows: Iterable[Origin], file: str) -> list[Origin]:
    """Return the values that a file says, or something they are made of."""
    return [
        row
        for row in rows
        if any(
            statement.mark and statement.mark.file == file
            for statement in (row.winner, *row.trail)
            if statement
        )
    ]


def line_uses(rows: Iterable[Origin]) -> dict[Mark, LineUse]:
    """Return every line that says something with the values it became, in the order of places."""
    uses: dict[Mark, LineUse] = {}
    for row in rows:
        if not row.stage:
            continue
        for statement in (row.winner, *row.trail):
            if statement is not None and statement.mark is not None:
                use = uses.setdefault(statement.mark, LineUse(statement=statement))
                if statement is row.winner and not isinstance(statement.text, Removal):
                    use.statement = replace(use.statement, name=row.name)
                use.became.setdefault(row.name, []).append(row.stage)
        for loser in row.losers:
            if loser.mark is not None:
                own = replace(loser, name=row.name)
                use = uses.setdefault(loser.mark, LineUse(statement=own))
                use.overruled.setdefault(row.name, []).append(row.stage)
    return {mark: uses[mark] for mark in sorted(uses)}


def shared_lines(
    recipes: Mapping[str, Sequence[Origin]], place: Callable[[str, Mark], str]
) -> dict[Mark, SharedLine]:
    """Return each line of another file than the recipe's own, with what it became in recipes.

    `place` says where a recipe overrules a line.
    """
    lines: dict[Mark, SharedLine] = {}
    for recipe, rows in recipes.items():
        for mark, use in line_uses(rows).items():
            if mark.file != recipe and mark.file not in {SET, ENVIRONMENT}:
                lines.setdefault(mark, SharedLine(statement=use.statement))
    for recipe, rows in recipes.items():
        for row in rows:
            marks = [one.mark for one in (row.winner, *row.trail) if one and one.mark in lines]
            losers = [one.mark for one in row.losers if one.mark in lines]
            if not row.stage or not (marks or losers):
                continue
            value = pretty_json(row.value, width=10_000)
            winner = row.winner.mark if row.winner else None
            where = place(recipe, winner) if winner else row.because
            words = dict.fromkeys(losers, f"overridden: {row.name} = {value} at {where}")
            words |= dict.fromkeys(marks, f"{row.name} = {value}")
            for mark, outcome in words.items():
                if mark is not None:
                    lines[mark].outcomes.setdefault(outcome, {}).setdefault(recipe, []).append(
                        row.stage
                    )
    return {mark: lines[mark] for mark in sorted(lines)}


def shared_lines_text(lines: Mapping[Mark, SharedLine]) -> str:
    """Return what each shared line became, file by file, equal outcomes once."""
    texts: list[str] = []
    file = ""
    for mark, line in lines.items():
        if mark.file != file:
            file = mark.file
            texts.append(file)
        texts.append(f"  {mark.line} {_line(line.statement)}")
        for outcome, recipes in line.outcomes.items():
            arrow = "" if outcome.startswith("overridden") else "-> "
            who = ", ".join(f"{name} ({', '.join(stages)})" for name, stages in recipes.items())
            texts.append(f"      {arrow}{outcome}: {who}")
    return "\n".join(texts)


def shared_line_dict(mark: Mark, line: SharedLine) -> Json:
    """Return one shared line and what it became as JSON-ready values."""
    return {
        "file": mark.file,
        "line": mark.line,
        "column": mark.column,
        "name": line.statement.name,
        "text": line.statement.text,
        "outcomes": [
            {"outcome": outcome, "recipes": recipes} for outcome, recipes in line.outcomes.items()
        ],
    }


def line_uses_text(uses: Mapping[Mark, LineUse], formatter: Formatter) -> str:
    """Return what each line became, file by file."""
    lines: list[str] = []
    file = ""
    for mark, use in uses.items():
        if mark.file != file:
            file = mark.file
            lines.append(file)
        place = formatter.place(mark).removeprefix(f"{file}:")
        lines.append(f"  {place} {_line(use.statement)}")
        lines += [f"      -> {name} of {', '.join(stages)}" for name, stages in use.became.items()]
        for name, stages in use.overruled.items():
            lines.append(f"      overruled: {name} of {', '.join(stages)}")
    return "\n".join(lines)


def line_use_dict(mark: Mark, use: LineUse) -> Json:
    """Return one line and what it became as JSON-ready values."""
    return {
        "file": mark.file,
        "line": mark.line,
        "column": mark.column,
        "name": use.statement.name,
        "text": use.statement.text,
        "became": use.became,
        "overruled": use.overruled,
    }


def _line(statement: Statement) -> str:
    if isinstance(statement.text, Removal):
        return f"{_bare(statement.name)}: {statement.text}"
    return f"{statement.name}: {pretty_json(statement.text, width=10_000)}"


def _bare(name: str) -> str:
    """Return what a stage calls its own value."""
    inside = name.split(".", 2)[2:] if name.startswith("stages.") else []
    return inside[0].removeprefix("params.") if inside else name


def _names(row: Origin) -> tuple[str, ...]:
    bare = row.path.replace(".params.", ".", 1)
    return tuple(name.removeprefix(lead) for name in (row.path, bare) for lead in ("", "stages."))


def _below(name: str, path: str) -> bool:
    return name == path or name.startswith((f"{path}.", f"{path}["))


def _chain(row: Origin) -> Json:
    """Return who said a value and who was overruled, the tool's default and whose that is."""
    because = {"because": row.because} if row.because else {}
    default = {} if row.default is NOTHING else {"default": row.default, "default_of": row.maker}
    return {
        **default,
        "winner": {**(_statement_dict(row.winner) if row.winner else {}), **because},
        "losers": [_statement_dict(loser) for loser in row.losers],
    }


def _overrides(statement: Statement, formatter: Formatter) -> Json:
    """Return whom a value that another was made of overrules."""
    whole = formatter.origins.get(statement.name)
    return {key: value for key, value in _chain(whole).items() if key != "winner"} if whole else {}


def _statement_dict(statement: Statement) -> Json:
    mark = statement.mark
    where = {"file": mark.file, "line": mark.line, "column": mark.column} if mark else {}
    return {**where, "text": statement.text, "reads": [*statement.reads]}
