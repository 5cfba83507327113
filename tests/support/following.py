"""Following a hint mechanically: its words in, the recipe as someone would write it then out.

FORMS are the ways in which a hint is said; each yields one recipe for each way out that the hint
offers. A hint that no form reads, and that is not declared as PROSE, fails its test: it could not
be tried. PROSE may hold no command and no value to write.
"""

import posixpath
import re
from collections.abc import Callable, Iterator

import yaml
from edits import Pair, at, child, insert, letters, offset, pairs, put, remove, rename, said, value
from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.problems import Mark, Problem

SET, PROFILE, ENVIRONMENT = "--set", "--profile", "environment"


class Case(Struct, frozen=True):
    """A recipe and what is laid over it; `others` are files beside it that are written anew."""

    file: str
    text: str
    sets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)


class Place(Struct, frozen=True):
    """Where a problem stands: the text a person would edit there."""

    case: Case
    mark: Mark
    problem: Problem
    read: Callable[[str], str]

    @property
    def text(self) -> str:
        match self.mark.file:
            case self.case.file:
                return self.case.text
            case "--set":
                return "\n".join(self.case.sets)
            case "--profile":
                return "\n".join(self.case.profiles)
            case "environment":
                names = sorted(n for n in self.case.environ if n.startswith("RECIPE_VARS_"))
                return "\n".join(f"{name}={self.case.environ[name]}" for name in names)
            case other:
                return self.case.others.get(other) or self.read(other)

    @property
    def index(self) -> int:
        return offset(self.text, self.mark.line, self.mark.column)

    @property
    def pair(self) -> Pair | None:
        return at(self.text, self.mark.line, self.mark.column)

    @property
    def whole(self) -> Pair | None:
        """The outermost value that begins at the place, else the pair of the key there."""
        here = [p for p in pairs(self.text) if p.value.start_mark.index == self.index]
        here = [p for p in here if p.above is not None]
        return here[0] if here else self.pair

    def to(self, text: str | None) -> Iterator[Case]:
        """Yield the case with another text at this place, nothing where there is none."""
        if text is None:
            return
        match self.mark.file:
            case self.case.file:
                yield replace(self.case, text=text)
            case "--set":
                yield replace(self.case, sets=tuple(filter(None, text.split("\n"))))
            case "--profile":
                yield replace(self.case, profiles=tuple(filter(None, text.split("\n"))))
            case "environment":
                kept = {
                    k: v for k, v in self.case.environ.items() if not k.startswith("RECIPE_VARS_")
                }
                lines = (line.partition("=") for line in text.split("\n") if line)
                yield replace(self.case, environ=kept | {name: val for name, _, val in lines})
            case other:
                yield replace(self.case, others={**self.case.others, other: text})

    def over(self, mark: Mark) -> "Place":
        return replace(self, mark=mark)

    def line(self, new: str) -> str:
        """Return the text with this option's line replaced, or taken out for ""."""
        rows = self.text.split("\n")
        rows[self.mark.line - 1 : self.mark.line] = [new] if new else []
        return "\n".join(rows)

    def top(self) -> Pair:
        return next(pairs(self.text))

    def stage(self) -> Pair | None:
        """Return the stage that the place is in."""
        pair = self.pair or next(
            (p for p in reversed([*pairs(self.text)]) if p.start <= self.index), None
        )
        while pair is not None and not (
            pair.above and pair.above.key is not None and pair.above.key.value == "stages"
        ):
            pair = pair.above
        return pair


Follow = Callable[[Place, re.Match[str]], Iterator[Case]]
FORMS: list[tuple[re.Pattern[str], Follow]] = []
# Hints that leave the value to the reader: one of those that the tests choose must do.
FREE: list[re.Pattern[str]] = []


def form(pattern: str, *, free: bool = False) -> Callable[[Follow], Follow]:
    def register(follow: Follow) -> Follow:
        FREE.extend([re.compile(pattern)] * free)
        FORMS.append((re.compile(pattern), follow))
        return follow

    return register


def follow(place: Place) -> list[Case] | None:
    """Return the recipes that the hint of a problem makes; None where no form reads it."""
    hint = place.problem.hint
    for pattern, apply in FORMS:
        if found := pattern.fullmatch(hint):
            return list(apply(place, found))
    return None


# -- helpers


def wrong(place: Place) -> Iterator[str]:
    """Yield the words that a message quotes, the last first: one of them stands at the place."""
    quoted = re.findall(r"'([^']+)'", place.problem.message)
    yield from reversed(quoted)
    if dotted := re.search(r"nothing reads ([\w.]+)", place.problem.message):
        yield dotted[1].rpartition(".")[2]
    if file := re.search(r"cannot read (\S+):", place.problem.message):
        yield file[1]
    if tag := re.search(r"no tag (!\S+)", place.problem.message):
        yield tag[1]
    bare = re.search(r"(\S+) is no ", place.problem.message)
    if bare:
        yield bare[1]


def instead(place: Place, new: str) -> Iterator[Case]:
    """Write a name in place of the wrong one that the message quotes."""
    stages = child(place.case.text, next(pairs(place.case.text)), "stages")
    if stages is not None and isinstance(stages.value, yaml.MappingNode):
        new = new.replace("stages.NAME", f"stages.{stages.value.value[0][0].value}")
    new = chosen(new)
    pair = place.pair
    if place.problem.rule == "bad-name" and pair is not None and pair.key is not None:
        yield from place.to(rename(place.text, pair, new))
        return
    for old in wrong(place):
        key = pair.key if pair is not None else None
        if key is not None and key.value == old and key.start_mark.index == place.index:
            yield from place.to(rename(place.text, pair, new))
            return
        if old in place.text:
            yield from place.to(letters(place.text, place.index, old, new))
            return
        for same in (old.upper(), old.removesuffix(".yaml"), posixpath.relpath(old, "parents")):
            if same in place.text:
                name = new.upper() if same == old.upper() else new
                yield from place.to(letters(place.text, place.index, same, name))
                return
        if ":" in old and old.split(":", 1)[1].removesuffix(".yaml") in place.text:
            inner = old.split(":", 1)[1].removesuffix(".yaml")
            yield from place.to(letters(place.text, place.index, inner, new.split(":", 1)[1]))
            return
        last = re.split(r"[./]", old.removesuffix(".yaml"))[-1]
        new = (
            new
            if "." not in old and "/" not in old
            else re.split(r"[./]", new.removesuffix(".yaml"))[-1]
        )
        if last in place.text:
            yield from place.to(letters(place.text, place.index, last, new))
            return


def written(place: Place, new: str) -> Iterator[Case]:
    """Write a value at the place: in YAML as the whole value, in an option behind its path."""
    if place.mark.file in (SET, ENVIRONMENT):
        path = place.text.split("\n")[place.mark.line - 1].partition("=")[0]
        yield from place.to(place.line(f"{path}={new}"))
    elif place.whole is not None:
        yield from place.to(value(place.text, place.whole, new))


def source(place: Place) -> Place:
    """Return where a value that a template made is said: the last place that the notes name."""
    marks = [m for m, t in place.problem.notes if m and " is " in t and t.endswith(" here")]
    return place.over((marks or [place.mark])[-1])


def taken_out(place: Place) -> Iterator[Case]:
    if place.mark.file in {SET, ENVIRONMENT, PROFILE}:
        yield from place.to(place.line(""))
    elif place.pair is not None:
        yield from place.to(remove(place.text, place.pair))
    else:
        yield from place.to(place.line(""))


def old(place: Place) -> str:
    return said(place.text, place.pair.value) if place.pair else ""


def within(place: Place, pair: Pair, name: str) -> Pair:
    inside = child(place.text, pair, name)
    assert inside is not None
    return inside


def nested(words: str, inside: str) -> str:
    return words.replace("…", inside, 1)


# -- too large, laid over or moved


@form(r"write (?P<key>\w+): … next to params, not inside it")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    assert place.pair is not None
    new = old(place)
    there = replace(place, case=replace(place.case, text=remove(place.text, place.pair)))
    stage = place.stage()
    assert stage is not None
    assert stage.key is not None
    name = str(stage.key.value)

    def stages() -> Pair:
        return within(there, there.top(), "stages")

    yield from there.to(put(there.text, stages, [name, found["key"]], new))


@form(r"write \{\{ NAME \| join\(','\) \}\} for a list")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from place.to(re.sub(r"~ (vars\.\w+)", r"~ (\1 | join(','))", place.text))


@form(r"write by='(?P<one>\w+)' or by='(?P<two>\w+)'")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    for by in found.groups():
        yield from place.to(re.sub(r"by='\w+'", f"by='{by}'", place.text))


@form(r"put its parts into vars")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    """The half of it, in the middle of a sum or of brackets."""
    whole = re.search(r"\{\{ (.*) \}\}", place.text)
    assert whole is not None
    before = whole[1].partition(" | ")[0]
    terms = before.split(" + ")
    half = len(terms) // 2
    inner, outer = " + ".join(terms[:half]), " + ".join(["vars.part", *terms[half:]])
    if half == 0:
        depth = before.count("[") // 2
        inner, outer = before[depth:-depth], "[" * depth + "vars.part" + "]" * depth
    text = place.text.replace(before, outer)
    yield from place.to(text.replace("\n", f'\nvars: {{part: "{{{{ {inner} }}}}"}}\n', 1))


@form(r"add '\}\}'")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(place, f'"{place.pair.value.value} }}}}"' if place.pair else "")


@form(r"write (?P<value>0) if intended")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(place, found["value"])


@form(r"remove it: only [\w.]+ read it, which is now set at (?P<at>\S+)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from taken_out(place)


@form(r"write defaults: \{TOOL: \{PARAMETER: VALUE\}\}")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(place, "{mlx_lm.lora: {seed: 1}}")


@form(r"write watch: (?P<value>\{.*\})")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(place, found["value"].replace("…", "d"))


@form(r"write (?P<key>every|stop_above): (?:N, in iterations|RATIO, such as (?P<value>[\d.]+))")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    assert place.pair is not None
    text = value(place.text, place.pair, found["value"] or "5")
    yield from place.to(rename(text, place.pair, found["key"]))


@form(r"write augmented: (?P<value>\{.*\})")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(place, found["value"])


@form(r"write license: (?P<value>other), and its name as (?P<key>\w+)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    there = next(written(place, found["value"]))
    again = replace(place, case=there)
    yield from say(again, found["key"], old(place))


@form(r"set ratio (?:to )?(?P<ratio>[\d.]+)(?: with tolerance (?P<tolerance>[\d.]+))? for .*")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    for one in say(place, "ratio", found["ratio"]):
        there = replace(place, case=one)
        yield from say(there, "tolerance", found["tolerance"]) if found["tolerance"] else [one]


@form(r"add rows, or lower (?P<key>\w+)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from say(place, found["key"], "16")


@form(r"name an adapter, such as stages\.NAME\.adapter_path")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from place.to(place.text.replace("stages.f.model", "stages.a.adapter_path"))


# -- expressions written another way: what the hint shows, for the one that stands on the line

REWRITES = (
    (r"write text\[:80\]", r"(\S+) \| truncate\([^)]*\)", r"\1[:80]"),
    (r"write range\(3\)", r"\brange(?:\.\w+|\['\w+'\])?(?!\()", "range(3)"),
    (r"write \| int or \| float before it", r"\| (abs|round)\b", r"| int | \1"),
    (r"write \| float \| int", r"\| int\b", "| float | int"),
    (r"write 'TEXT' in NAME", r"([\w.]+)\.find\(('[^']*')\)", r"\2 in \1"),
    (r"write A if B else C", r"(\w+) if ([\w.]+)", r"\1 if \2 else \1"),
    (
        r"write env\('NAME', DEFAULT\), MAPPING\.get\('NAME', DEFAULT\) or A if B else C",
        r"([\w.]+) \| default\((\w+)[^)]*\)",
        r"\1 if \1 else \2",
    ),
    (
        r"use partition only if it is there: A if '/' in B else C",
        r"([\w.]+)\.partition\('/'\)\[2\]",
        r"\1.partition('/')[2] if '/' in \1 else \1",
    ),
)
for _hint, _old, _new in REWRITES:

    @form(_hint)
    def _(place: Place, found: re.Match[str], old: str = _old, new: str = _new) -> Iterator[Case]:
        row = place.text.split("\n")[place.mark.line - 1]
        lead, rest = row[: place.mark.column - 1], row[place.mark.column - 1 :]
        yield from place.to(place.line(lead + re.sub(old, new, rest, count=1)))


@form(r"write an expression, as \{\{ vars\.NAME \}\}")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    text = place.text.replace("{{ }}", "{{ vars.name }}")
    yield from place.to(put(text, lambda: next(pairs(text)), ["vars"], "{name: d}"))


@form(r"write it as an 'expect' line of the stage")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    assert place.pair is not None
    stage = place.stage()
    assert stage is not None
    assert stage.key is not None
    name = str(stage.key.value)
    text = remove(place.text, place.pair)
    new = put(
        text,
        lambda: within_text(text, next(pairs(text)), "stages"),
        [name, "expect"],
        '["metrics.val_loss < 2"]',
    )
    yield from place.to(new)


def within_text(text: str, pair: Pair, name: str) -> Pair:
    inside = child(text, pair, name)
    assert inside is not None
    return inside


@form(r"compare one of: (?P<names>.*)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    for name in found["names"].partition(", …")[0].split(", "):
        yield from written(place, f'"{name} < 2"')


@form(r"give it a value \('(?P<here>\.)' is .*\); for a literal '/', write (?P<top>\{\{ '/' \}\})")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    name = re.search(r"(vars\.\w+) is empty", place.problem.message)
    assert name is not None
    path = name[1].split(".")
    text = place.case.text
    yield replace(place.case, text=put(text, lambda: next(pairs(text)), path, f"'{found['here']}'"))
    row = place.text.split("\n")[place.mark.line - 1]
    yield from place.to(place.line(row.replace(f"{{{{ {name[1]} }}}}/", found["top"])))


@form(r"parameters belong to a stage, or to defaults: \{TOOL: …\}")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    assert place.pair is not None
    new, text = old(place), remove(place.text, place.pair)
    said_so = f"{{mlx_lm.lora: {new}}}"
    yield from place.to(put(text, lambda: next(pairs(text)), ["defaults"], said_so))


@form(r"pip install --upgrade mlx-lm, or remove the line")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from taken_out(place)


@form(r"write its IP address, or use a hostfile with ips")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    stage = place.stage()
    assert stage is not None
    launch = within(place, stage, "launch")
    for new in ("{hosts: [10.0.0.1, 10.0.0.2]}", "{hostfile: hosts.json}"):
        yield from place.to(value(place.text, launch, new))


@form(r"write it inside the hf_dataset entry")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    assert place.pair is not None
    assert place.pair.key is not None
    key, new = str(place.pair.key.value), old(place)
    there = replace(place, case=replace(place.case, text=remove(place.text, place.pair)))
    stages = within(there, there.top(), "stages")
    name = str(stages.value.value[0][0].value)
    path = [name, "params", "hf_dataset", key]
    yield from there.to(put(there.text, lambda: stages, path, new))


@form(r"name an adapter file, such as stages\.NAME\.adapter_file")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    new = place.text.replace(
        "{{ stages.f.model }}/model.safetensors", "{{ stages.a.adapter_file }}"
    )
    yield from place.to(new)


@form(r"set (?P<key>adapter_path) to the adapter's folder")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    assert place.pair is not None
    text = remove(place.text, place.pair)
    there = replace(place, case=replace(place.case, text=text))
    stages = within(there, there.top(), "stages")
    new = '"{{ stages.a.adapter_path }}"'
    yield from there.to(put(text, lambda: stages, ["t", "params", found["key"]], new))


# -- names


@form(r"write hosts: (?P<ranks>\d+) for .* on this machine(?:, or their IPs: (?P<list>\[.*\]))?")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    stage = place.stage()
    for new in filter(None, (found["ranks"], found["list"])):
        if stage is not None:
            yield from place.to(
                value(place.text, within(place, stage, "launch"), f"{{hosts: {new}}}")
            )


@form(r"did you mean '(?P<name>[^']+)'\?")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from instead(place, found["name"])


@form(
    r"(?:mlx-lm|[\w.]+|the runner|the hub) (?:calls|spells) it (?P<name>\w+)(?:, .*)?(?: \(T\d+\))?"
    r"|they are called (?P<other>\w+)|mlx_lm\.\w+ has (?P<list>\w+), a list"
)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from instead(place, found["name"] or found["other"] or found["list"])


@form(r"there are: (?P<names>[^…]+)(?:, … .*)?", free=True)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    """One of several: the choice is the reader's, each of them must be known there."""
    for name in found["names"].split(", ")[:3]:
        yield from instead(place, name)


@form(r"did you mean (?P<key>\w+): (?P<value>[^ ]+) \(.*\)\?")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    pair = place.pair
    if pair is not None and pair.key is not None and pair.key.value in wrong(place):
        text = rename(value(place.text, pair, found["value"]), pair, found["key"])
        yield from place.to(text)
        return
    made = next(m for m, t in place.problem.notes if m and ".alpha is " in t)
    there = place.over(made)
    assert there.pair is not None
    yield from there.to(
        rename(value(there.text, there.pair, found["value"]), there.pair, found["key"])
    )


@form(r"write (?P<name>(?!RECIPE_VARS|\d)\w+(?:\.\w+)?)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    """A name for the one that is quoted, or a value where the place holds one."""
    names = {"bad-name", "undefined", "snapshot-name", "template-error", "bad-override"}
    if place.problem.rule in names:
        yield from instead(place, found["name"])
    else:
        yield from written(source(place), found["name"])


# -- values


@form(
    r"(?:where it is set, )?write (?:it as )?(?P<value>-?[\w.+-]+)"
    r"(?:, (?:without quotes|digits only|with a point|without these quotes|without \[ \]))"
)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    there = source(place)
    if whole := re.match(r"YAML reads '(.+)' as \S+ and a key ", place.problem.message):
        yield from place.to(letters(place.text, place.index, whole[1], found["value"]))
        return
    if place.problem.message.startswith("'"):  # computes with vars.x, which is the text '…'
        name = re.search(r"with (vars\.\w+)", place.problem.message)
        marks = [m for m, t in place.problem.notes if m and name and t.startswith(name[1])]
        there = place.over(marks[0]) if marks else there
        if not marks and name:
            top = child(place.text, place.top(), "vars")
            assert top is not None
            yield from place.to(put(place.text, lambda: top, [name[1][5:]], found["value"]))
            return
    yield from written(there, found["value"])


@form(
    r"(?:a share, not a percentage: )?write (?P<value>-?[\d.]+(?:e-?\d+)?)(?:, or quote it| for .*)?"
)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    if name := re.fullmatch(r".* for (stages?\.[\w.]+): .*", place.problem.hint):
        yield from place.to(letters(place.text, place.index, name[1], found["value"]))
    elif variable := re.search(r"env\('(\w+)'\)", place.problem.message):
        environ = {**place.case.environ, variable[1]: found["value"]}
        yield replace(place.case, environ=environ)
    else:
        yield from written(source(place), found["value"])


@form(r"write '(?P<value>[^']+)'")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    """The line with what it lacks, or a name of the list that is quoted."""
    if "':' is missing" not in place.problem.message and place.problem.rule != "yaml-syntax":
        yield from written_key(place, found["value"])
        return
    bare = found["value"].rstrip(":")
    new = found["value"] if ": " in found["value"] else f"{bare}:"
    row = place.text.split("\n")[place.mark.line - 1]
    lead = row[: len(row) - len(row.lstrip())]
    yield from place.to(place.line(row.replace(row.strip(), new) if bare in row else lead + new))


@form(r"put it in quotes|quote it|is it text\?|text that .* needs quotes")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    pair = place.pair
    if pair is not None and pair.key is not None and pair.key.start_mark.index == place.index:
        yield from place.to(rename(place.text, pair, f'"{said(place.text, pair.key)}"'))
        return
    if pair is not None:
        yield from place.to(value(place.text, pair, f'"{old(place)}"'))
        return
    rows = place.text.split("\n")
    row = rows[place.mark.line - 1]
    lead, colon, rest = row.partition(": ")
    rows[place.mark.line - 1] = f"{lead}{colon}'{rest.strip()}'"
    yield from place.to("\n".join(rows))


@form(r"put it in quotes: (?P<new>env\('(?P<name>\w+)'\))")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    name = found["name"]
    yield from place.to(letters(place.text, place.index, f"env({name}", f"env('{name}'"))


@form(r"put it in \[ \]: (?P<key>\w+): (?P<value>\[.*\])")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(place, found["value"])


@form(r"use a number as the default of env: (?P<new>env\('(?P<name>\w+)', 1\))")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    text = re.sub(rf"env\(\s*['\"]{found['name']}['\"]\s*\)", found["new"], place.text)
    yield from place.to(text)


@form(r"write (?P<new>\{\{ .* \}\})(?:; for a literal dollar, write \{\{ '\$' \}\})?")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(place, f'"{found["new"]}"')


@form(r"write (?P<new>\{\{ .* \}\}\S*)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(place, f'"{found["new"]}"')


@form(r"(?P<quote>.) is not a quote in YAML: write '(?P<new>.*)'")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(place, f"'{found['new']}'")


@form(
    r"(?:a (?:parameter|metric) is|a metric is a number: write|write:?|write it as) (?P<new>(?:metrics|stages|vars)\b[^…]*)"
)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    """An expression, or a name in one."""
    new = found["new"].replace("metrics.NAME", "metrics.val_loss").replace("DEFAULT", "'rows'")
    if "<" in new or ">" in new:
        yield from written(place, new)
        return
    last = re.split(r"[.('\"]", new.rstrip("')"))[-1]
    for wanted in (*wrong(place), last):
        if wanted in place.text[place.index :]:
            whole = re.compile(rf"[\w.]*\b{re.escape(wanted)}\b|{re.escape(wanted)}")
            found_at = whole.search(place.text, place.index)
            if found_at:
                text = place.text[: found_at.start()] + new + place.text[found_at.end() :]
                yield from place.to(text)
                return


@form(r"write (?P<new>==|<=|>=)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    bad = re.findall(r"'([=<>]+)'", place.problem.message)[-1]
    yield from place.to(letters(place.text, place.index, f" {bad} ", f" {found['new']} "))


@form(r"add one of: (?P<names>.*)", free=True)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    what = place.problem.message.partition(" is not a value")[0]
    for name in found["names"].split(", "):
        more = name if name != ".params" else ".params.model"
        more = ".train.adapter_path" if name == ".train" else more
        yield from place.to(letters(place.text, place.index, what, f"{what}{more}"))


@form(r"(?P<what>vars[\w.]*) contains (?P<keys>[\w, ]+): add (?P<name>\.\w+)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from place.to(
        letters(place.text, place.index, found["what"], found["what"] + found["name"])
    )


@form(r"write // to divide whole numbers, or (?P<new>\{\{ .* \}\})")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from place.to(letters(place.text, place.index, " / ", " // "))
    yield from written(place, f'"{found["new"]}"')


@form(r"write \}\} for the single \}")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from place.to(
        place.text[: place.index] + place.text[place.index :].replace("}/", "}}/", 1)
    )


@form(r"put nothing next to the \{\{ \}\}, not even a space")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    inner = re.search(r"\{\{.*\}\}", old(place))
    assert inner
    yield from written(place, f'"{inner[0]}"')


@form(r"give it a value, or write (?P<new>\{\{.*\}\})")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    inner = re.search(r"\{\{.*?\}\}", old(place))
    assert inner
    yield from place.to(letters(place.text, place.index, inner[0], found["new"]))


@form(r"add '(?P<new>[^']+)'")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    row = place.text.split("\n")[place.mark.line - 1]
    quoted = re.sub(r"(['\"])\s*$", rf" {found['new']}\1", row)
    yield from place.to(place.line(quoted if quoted != row else f"{row} {found['new']}"))


@form(r"close it(?: with '(?P<new>.)')?")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    sign = found["new"]
    row = place.text.split("\n")[place.mark.line - 1]
    opened = sign or next(c for c in row[place.mark.column - 1 :] if c in "'\"")
    if place.problem.notes and place.problem.notes[0][0]:
        place = place.over(place.problem.notes[0][0])
        row = place.text.split("\n")[place.mark.line - 1]
    yield from place.to(place.line(f"{row}{opened}"))


# -- what is said where, and what is taken out


@form(
    r"remove it|remove this (?:line|entry)|remove the line(?:[:;] .*| for no limit)?|leave it out(?:: .*)?"
    r"|remove the tag|remove one of (?:them|these lines)|remove launch|remove one|remove the budget"
)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    if found[0] == "remove the tag":
        row = place.text.split("\n")[place.mark.line - 1]
        yield from place.to(place.line(re.sub(r"\s*!+\w+", "", row)))
        return
    yield from taken_out(place)


@form(r"write (?P<name>\S+)@REV with a branch, a tag or a commit, or (?P=name) alone")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    old = re.compile(r"org/\w+@(?:\{\{ vars\.commit \}\}|a b|\.\./other|(?=\n))")
    match = old.search(place.text, place.index)
    assert match
    for new in (f"{found['name']}@v1", found["name"]):
        yield from place.to(place.text[: match.start()] + new + place.text[match.end() :])


@form(r"write (?P<name>org/name), or remove (?P<key>revision)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(place, found["name"])
    yield from place.to(place.text.replace(", revision: v2", ""))


@form(r"shorten it, .*")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(source(place), "short")


@form(r"(?:leave|remove) (?P<name>(?!it)\w+)(?: out)?|remove the path: .*")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from taken_out(place)


@form(r"use it as (?P<new>\{\{ .* \}\}), or (?P<rest>.*)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    """Used: as the name of a report. Else what the rest says."""
    if place.pair is None and place.mark.file not in {SET, ENVIRONMENT}:
        return
    if found["rest"] == "remove it":
        yield from taken_out(place)
    stages = child(place.case.text, next(pairs(place.case.text)), "stages")
    if stages is None:
        return
    name = stages.value.value[0][0].value
    text = put(place.case.text, lambda: stages, [name, "description"], f'"of {found["new"]}"')
    yield replace(place.case, text=text)


@form(r"only the profile '(?P<name>\w+)' reads it: add --profile (?P=name)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield replace(place.case, profiles=(*place.case.profiles, found["name"]))


@form(r"write it under params: \{(?P<key>\w+): …\}")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    stage, inside = place.stage(), old(place)
    if place.mark.file == SET:
        row = place.text.split("\n")[place.mark.line - 1]
        key = found["key"]
        yield from place.to(place.line(row.replace(f".{key}", f".params.{key}", 1)))
        return
    if stage is None or place.pair is None:
        return
    text = put(place.text, lambda: stage, ["params", found["key"]], inside)
    for pair in pairs(text):
        key, home = pair.key, pair.above
        own = home is not None and home.key is not None and home.start == stage.start
        if own and key is not None and key.value == found["key"]:
            yield from place.to(remove(text, pair))
            return


@form(r"write (?P<key>\w+): … next to params, not inside it")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from _beside(place, found["key"], old(place))


@form(r"write budget: \{epochs: …\} next to params, instead of iters")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from _beside(place, "budget", f"{{epochs: {old(place)}}}")


def _beside(place: Place, key: str, new: str) -> Iterator[Case]:
    assert place.pair is not None
    stage = place.stage()
    if stage is None:
        return
    name = stage.key.value
    text = remove(place.text, place.pair)
    again = next(
        p
        for p in pairs(text)
        if p.key is not None
        and p.key.value == name
        and p.above
        and p.above.key is not None
        and p.above.key.value == "stages"
    )
    text = put(text, lambda: again, [key], new)
    if key == "budget":
        iters = [p for p in pairs(text) if p.key is not None and p.key.value == "iters"]
        text = remove(text, iters[0]) if iters else text
    yield from place.to(text)


@form(r"write optimizer: (?P<other>\w+)(?:, or optimizer_config: \{(?P<own>\w+): …\})?")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    pair = place.pair
    assert pair is not None
    outer = pair.above
    if found["own"]:
        yield from place.to(rename(place.text, pair, found["own"]))
    params = outer.above if outer else None
    assert params is not None
    if inside := child(place.text, params, "optimizer"):
        yield from place.to(value(place.text, inside, found["other"]))
    else:
        yield from place.to(insert(place.text, params.value, "optimizer", found["other"]))


@form(
    r"(?:this run-recipe supports version 1 of the language: |remove the line, or |begin with: "
    r"|the recipe has no vars: |run or name a recipe that extends it; or )?"
    r"write (?P<key>\w+): (?P<value>[^…]*?(?:\{NAME: \{.*\})?)(?P<more>, and .*|; see: run-recipe tools)?"
)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    """A key with a value that is an example, or the only one."""
    key, new = found["key"], chosen(found["value"])
    pair = place.pair
    lead = found[0].partition("write ")[0]
    if "remove the line" in lead:
        yield from taken_out(place)
    if pair is not None and pair.key is not None and pair.key.value == key:
        yield from place.to(value(place.text, pair, new))
    elif place.problem.rule == "missing-key":
        about = place.problem.message.partition(" needs ")[0]
        outer = place.top()
        for one in pairs(place.text):
            dotted = about.rpartition(".")[2].rpartition(" ")[2].strip("'")
            if one.key is not None and one.key.value == dotted:
                outer = one
                if one.start >= place.index - 1:
                    break
        yield from place.to(insert(place.text, outer.value, key, new))
    elif pair is not None and pair.above and pair.above.key and pair.above.key.value == key:
        yield from place.to(value(place.text, pair.above, new))
    elif pair is not None and pair.key is not None:
        yield from place.to(rename(value(place.text, pair, new), pair, key))


@form(r"write (?P<key>\w+): (?P<value>\w+), and (?P<rest>\w+: \{.*…\}*)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    """Two keys: the second holds what stands there."""
    again = replace(place, problem=replace(place.problem, hint=f"write {found['rest']}"))
    for case in follow(again) or ():
        text = case.text
        at_home = [p for p in pairs(text) if p.key is not None and p.key.value == "params"]
        yield replace(case, text=insert(text, at_home[0].value, found["key"], found["value"]))


@form(r"write (?P<key>\w+): (?P<value>\{.*…\}*\})(?:, .*)?")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    """A mapping of another name around what stands there, merged where it is there already."""
    assert place.pair is not None
    inside = old(place)
    path = [found["key"], *re.findall(r"(\w[\w.]*): ", found["value"])]
    text = remove(place.text, place.pair)
    outer = place.pair.above
    start = outer.start if outer else 0
    home = child(place.text, place.top(), found["key"])
    if home is not None or found["key"] in {"profiles", "defaults", "stages"}:
        path = [one for one in path if one != "NAME"]
        start = -1
        if found["key"] == "profiles":
            path, inside = [*path, "quick"], inside if inside.startswith("{") else "{}"

    def find() -> Pair | None:
        return next(
            (p for p in pairs(text) if p.start == start and p.key is not None), None
        ) or next(pairs(text))

    yield from place.to(put(text, find, path, inside))


# What stands for the reader's own choice in a hint, and what the tests choose.
CHOICES = {
    "{tool: NAME, params: {…}}": "{tool: mlx_lm.lora, params: {model: m, data: d, train: true}}",
    "{NAME: {tool: …, params: …}}": (
        "{a: {tool: mlx_lm.lora, params: {model: m, data: d, train: true}}}"
    ),
    "{NAME: {tool: …}}": "{a: {tool: mlx_lm.lora, params: {model: m, data: d, train: true}}}",
    "{PARAMETER: VALUE}": "{iters: 10}",
    "{NAME: VALUE}": "{model: m, data: d, train: true}",
    "{path: NAME}": "{path: owner/rows}",
    "{vars: {NAME: …}}": "{vars: {}}",
    "{stages: {NAME: {params: …}}}": "{stages: {}}",
    "[STAGE]": "[]",
    "FILE.yaml": "parents/lora.yaml",
    "FOLDER": "rows",
    "DEFAULT": "'rows'",
    "{{ vars.NAME }}": "{{ recipe.name }}",
    "metrics.NAME": "metrics.train_loss",
    "PARAMETER=VALUE": "iters=10",
    "VALUE": "10",
}


def chosen(words: str) -> str:
    for name, choice in CHOICES.items():
        if name in words:
            return words.replace(name, choice)
    return words


@form(
    r"write (?P<value>\[.*\]|\{[^{].*?\})(?: or (?P<other>\{.*\}))?(?P<leave>, or remove it)?",
    free=True,
)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    if place.problem.rule == "unknown-key" and place.pair is not None:
        outer = place.pair.above
        assert outer is not None
        for one in filter(None, (found["value"], found["other"])):
            yield from place.to(value(place.text, outer, chosen(one)))
        return
    yield from written(place, chosen(found["value"]))
    if found["other"]:
        yield from written(place, chosen(found["other"]))
    if found["leave"]:
        yield from taken_out(place)


@form(r"the recipe has no vars: write vars: \{(?P<name>\w+): …\}", free=True)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    text = place.case.text
    for new in ("10", "some/text"):
        made = put(text, lambda: next(pairs(text)), ["vars", found["name"]], new)
        yield replace(place.case, text=made)


@form(r"begin with: version: 1, and stages: (?P<stages>\{.*\})")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from place.to(f"version: 1\nstages: {chosen(found['stages'])}\n")


@form(r'write "\{\{ … \}\}"')
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    row = place.text.split("\n")[place.mark.line - 1]
    yield from place.to(place.line(re.sub(r"(\{\{[^}]*\}\}[^,}\s\"]*)", r'"\1"', row)))


@form(r"write (?P<path>(?:stages|vars|defaults)\.\S+)=(?P<value>\[…\]|…)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    _, _, value_ = place.text.split("\n")[place.mark.line - 1].partition("=")
    path = found["path"].replace("NAME", "train")
    new = found["value"].replace("…", value_)
    yield from place.to(place.line(f"{path}={new}"))


@form(r"write --set stages\.NAME\.params\.PARAMETER=VALUE")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from place.to(place.line("stages.train.params.iters=10"))


@form(r"write --set (?P<path>\S+)=…, or rename one of them")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    [one] = place.to(place.line(""))
    yield replace(one, sets=(*one.sets, f"{found['path']}=10"))


@form(r"write RECIPE_VARS_NAME")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield replace(place.case, environ={"RECIPE_VARS_RANK": "8"})


@form(r"remove the secret: .*")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from place.to(re.sub(r"hf_\w+", "x", place.text))


@form(r"write env\('(?P<name>\w+)', DEFAULT\)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    name = found["name"]
    yield from place.to(place.text.replace(f"env.{name}", f"env('{name}', 'rows')"))


@form(r"a path starts with one of: (?P<names>.*)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from place.to(place.line("stages.train.params.iters=10"))


@form(r"write 90s, 30m, 2h or 1h30m")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    for one in ("90s", "30m", "2h", "1h30m"):
        yield from written(source(place), one)


@form(r"write (?P<value>\S+) without !reset to set it; !reset alone removes what is inherited")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(place, found["value"])


@form(r"write (?P<one>\d+), (?P<two>0o\d+) for octal, or quote it")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    for one in (found["one"], found["two"]):
        yield from written(place, one)


@form(r"raise (?P<up>\w+) above (?P<most>\d+), or set (?P<down>[\w.]+) below (?P<least>\d+)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    """By ``--set``, wherever the values are said."""
    stage = place.stage()
    text = place.case.text
    stages = child(text, next(pairs(text)), "stages")
    assert stages is not None
    name = stage.key.value if stage and stage.key else stages.value.value[0][0].value
    up = (f"stages.{name}.params.{found['up']}={int(found['most']) + 1}",)
    down = (f"{found['down']}={int(found['least']) - 1}",)
    yield replace(place.case, sets=(*place.case.sets, *up))
    yield replace(place.case, sets=(*place.case.sets, *down))


@form(r"add '(?P<key>\w+): (?P<value>.*)' to (?:measure|get) it")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    name = re.search(r"stage '(\w+)'", place.problem.message)
    assert name
    own = found["key"] if found["value"].startswith("{") else f"params.{found['key']}"
    new = found["value"].replace("…", "rows")
    yield replace(place.case, sets=(*place.case.sets, f"stages.{name[1]}.{own}={new}"))


@form(r"set it, or write (?P<new>env\('(?P<name>\w+)', DEFAULT\))")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield replace(place.case, environ={**place.case.environ, found["name"]: "rows"})
    yield from place.to(
        place.text.replace(f"env('{found['name']}')", f"env('{found['name']}', 'rows')")
    )


@form(
    r"write a value in its place|write one of them as a value|it is null where it is said: .*",
    free=True,
)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    for new in ("10", "text"):
        yield from written(source(place), new)


@form(r"it is computed from (?P<names>vars\.\w+ and vars\.\w+): change one of them")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(place, "2")


@form(r"write '(?P<new>\{\{ .* \}\})' alone, or (?P<other>\{\{ .* \}\})")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    inner = re.search(r"\{\{.*\}\}", old(place))
    assert inner
    yield from place.to(letters(place.text, place.index, inner[0], found["other"]))


@form(r"for whole numbers: (?P<one>\w+); for others: (?P<others>.*)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    bad = re.findall(r"filter '(\w+)'", place.problem.message)[-1]
    yield from place.to(letters(place.text, place.index, bad, found["one"]))


@form(r"write <<: \*common, with &common before a mapping above")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    pair = place.pair
    assert pair is not None
    text = remove(place.text, pair)
    yield from place.to(text)


@form(r"type a plain space instead")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from place.to(place.text.replace("\u00a0", " "))


@form(r"remove it, or write it as an escape in quotes")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from place.to(place.text[: place.index] + place.text[place.index + 1 :])


@form(r"put it into its own file, or remove the '---'")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from place.to(place.text[: place.index])


@form(r"put it in \[ \]")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    what = re.match(r"'(.*?) \| ", place.problem.message)
    assert what
    yield from place.to(letters(place.text, place.index, what[1], f"[{what[1]}]"))


@form(r"remove the \( \)")
def _(place: Place, _: re.Match[str]) -> Iterator[Case]:
    yield from place.to(letters(place.text, place.index, "()", ""))


@form(r"write (?P<signs>%s, %d, %f, %e or %g)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    (bad,) = re.findall(r"no format '(%\w)'", place.problem.message)
    for sign in re.findall(r"%\w", found["signs"]):
        yield from place.to(letters(place.text, place.index, bad, sign))


@form(r"write %s where it belongs")
def _(place: Place, _: re.Match[str]) -> Iterator[Case]:
    yield from place.to(letters(place.text, place.index, "%d", "%d%s"))


@form(r"write it as the third entry of arguments \(T32\)")
def _(place: Place, _: re.Match[str]) -> Iterator[Case]:
    assert place.pair is not None
    end = old(place)
    text = remove(place.text, place.pair)
    yield from place.to(re.sub(r"(arguments: \[[^\]]*)", rf"\1, {end}", text))


# -- what is empty


@form(
    r"(?:write a value after '\w+:', or remove it|write its value, or remove the entry"
    r"|give it a value, or (?:leave it out|unset \w+))(?:; write null for null)?"
)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    """Taken out; which value is meant is the reader's to know, and null where it may be null."""
    if place.mark.file in {SET, ENVIRONMENT}:
        yield from place.to(place.line(""))
    elif place.pair is not None:
        yield from place.to(remove(place.text, place.pair))
    else:
        yield from place.to(place.line(""))


@form(
    r"(?:close it(?: with '.')?; )?text with such characters needs its own quotes: PATH='\"…\"'",
    free=True,
)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    """The shell takes the outer quotes, so that the recipe sees the inner ones."""
    if sign := re.match(r"close it with '(.)'", found[0]):
        yield from place.to(place.line(place.text.split("\n")[place.mark.line - 1] + sign[1]))
    path, _, text = place.text.split("\n")[place.mark.line - 1].partition("=")
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    yield from place.to(place.line(f'{path}="{quoted}"'))


@form(
    r"give it a value, or unset it for the default: unset (?P<name>\w+); for an empty text, "
    r"write (?P<new>env\('\w+', ''\))"
)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    environ = {k: v for k, v in place.case.environ.items() if k != found["name"]}
    yield replace(place.case, environ=environ)
    yield replace(place.case, environ={**environ, found["name"]: "2"})


# -- rules: a value that the stage is to say


HOMES = {
    "rank": ("params", "lora_parameters"),
    "scale": ("params", "lora_parameters"),
    "keys": ("params", "lora_parameters"),
    "warmup": ("params", "lr_schedule"),
    "every": ("watch", "retention"),
    "hosts": ("launch",),
    "keep": (),
    "test_split": ("params", "hf_dataset"),
}


def say(place: Place, key: str, new: str) -> Iterator[Case]:
    """Write a value of the stage at its home."""
    stage = place.stage()
    assert stage is not None
    text = put(place.text, lambda: stage, [*HOMES.get(key, ("params",)), key], new)
    yield from place.to(text)


def without(place: Place, key: str) -> Iterator[Case]:
    """Take a value of the stage out."""
    found = place.stage()
    for name in (*HOMES.get(key, ("params",)), key):
        assert found is not None
        found = child(place.text, found, name)
    if found is not None:
        yield from place.to(remove(place.text, found))


@form(
    r"(?:set|use|save more often:) (?P<key>\w+)(?: to(?: at most| about)?)?:? (?P<value>-?[\w.]+|\{.*\}\}|!reset)"
    r"(?: (?:for \d+ replay rows|or more))?(?P<more>, or .*)?"
)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from say(place, found["key"], found["value"])
    more = found["more"] or ""
    if out := re.search(r"or remove (?!it)(\w+)(?: and (\w+))?", more):
        cases = [place.case]
        for key in filter(None, out.groups()):
            there = replace(place, case=cases[-1])
            cases += without(there, key)
        yield from cases[1:]
    elif more == ", or remove it":
        yield from taken_out(place)
    elif below := re.search(r"or a (\w+) below (\d+)", more):
        yield from say(place, below[1], str(int(below[2]) - 1))


@form(r"set report_to: wandb or swanlab, or remove it")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from say(place, "report_to", "wandb")
    yield from say(place, "report_to", "swanlab")
    yield from taken_out(place)


@form(r"use a (?P<key>\w+) of (?:at most )?(?P<value>\d+)(?:, or add \d+ rows?)?")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from say(place, found["key"], found["value"])


@form(r"use (?P<one>\d+) or (?P<two>\d+) (?P<key>\w+)|use at least (?P<least>\d+) (?P<same>\w+)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    for new in filter(None, (found["one"], found["two"], found["least"])):
        yield from say(place, found["key"] or found["same"], new)


@form(r'set (?P<key>\w+), for example (?P<value>".*")')
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from say(place, found["key"], found["value"])


@form(r"(?:write|use) (?P<value>[\w./]+)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(place, found["value"])


@form(
    r"write '(?P<value>[\w.]+)', which is .*|write (?P<number>-?\d+), or (?P<other>-1) for all layers"
)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written_key(place, found["value"]) if found["value"] else ()
    for new in filter(None, (found["number"], found["other"])):
        yield from say(place, "num_layers", new)


def written_key(place: Place, new: str) -> Iterator[Case]:
    """Write one of the keys in place of the one that the message quotes."""
    bad = next(one for one in wrong(place) if f'"{one}"' in place.text)
    yield from place.to(place.text.replace(f'"{bad}"', f'"{new}"'))


@form(r"(?:write keys, or|list every module, or write) 'keys: null' for all of them")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from say(place, "keys", "null")


@form(r"its keys are (?P<keys>.*)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from say(place, "keys", f"[{found['keys']}]")


@form(r"write 5m for minutes, 5h for hours")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(place, "5m")
    yield from written(place, "5h")


@form(r"decay over (?P<steps>\d+) steps?: the updates after the warm-up")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    name, arguments = (
        (child(place.text, place.pair.above, one) for one in ("name", "arguments"))
        if place.pair and place.pair.above
        else (None, None)
    )
    assert name is not None
    assert arguments is not None
    entries = arguments.value.value
    at_ = 2 if name.value.value == "linear_schedule" else 1
    entry = Pair(None, entries[at_], arguments.value)
    yield from place.to(value(place.text, entry, found["steps"]))


@form(r'remove it, or write the peak as "(?P<new>\{\{ .* \}\})"')
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from taken_out(place)
    stage = place.stage()
    assert stage is not None
    pair = stage
    for name in ("params", "lr_schedule", "arguments"):
        pair = child(place.text, pair, name)
        assert pair is not None
    entry = Pair(None, pair.value.value[0], pair.value)
    yield from place.to(value(place.text, entry, f'"{found["new"]}"'))


@form(r"raise it to (?P<value>[\w.-]+), or .*")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from say(place, "learning_rate", found["value"])


@form(r"remove them, or set (?P<key>\w+): !reset")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from without(place, found["key"])


@form(r"remove it; if it is inherited, write .*|remove it, and convert with llama\.cpp")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from taken_out(place)


@form(
    r"(?:add valid\.jsonl, or remove|delete or move it, or remove|name .*, or leave) (?P<key>\w+)(?: out.*|: .*)?"
)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from without(place, found["key"])


@form(
    r"(?:use|list|name) .*, or (?:set fine_tune_type: (?P<said>lora)|(?:use )?(?:use )?(?:use )?the type (?P<type>lora))"
)
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from say(place, "fine_tune_type", "lora")


@form(r"set keep: best and check kept_val_loss, or check val_loss")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    text = place.text.replace("metrics.best_val_loss", "metrics.kept_val_loss")
    there = replace(place, case=replace(place.case, text=text))
    maker = re.search(r"stage '(\w+)'", place.problem.message)
    assert maker
    stages = child(text, next(pairs(text)), "stages")
    assert stages is not None
    yield from there.to(put(text, lambda: stages, [maker[1], "keep"], "best"))


@form(r"use (?P<one>mlx_lm\.\w+), (?P<two>mlx_lm\.\w+) or (?P<three>mlx_lm\.\w+)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    for name in found.groups():
        yield from place.to(re.sub(r"mlx_lm\.awq", name, place.text))


@form(r"set iters, or budget: \{epochs: N\} next to params")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from say(place, "iters", "100")


@form(r"write out the command's output, or pass it in a variable: (?P<new>\{\{ env\('NAME'\) \}\})")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(place, "printed")
    for one in written(place, f'"{found["new"].replace("NAME", "HOME")}"'):
        yield replace(one, environ={**one.environ, "HOME": "home"})


@form(r"write the full path; for a folder of that name here, write (?P<path>\./\S+)")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(place, "/Users/bob/x")
    yield from written(place, found["path"])


@form(r"this is a number, not a duration: write digits only")
def _(place: Place, found: re.Match[str]) -> Iterator[Case]:
    yield from written(source(place), "5")


# -- hints without a command and without a value to write: the choice is the reader's own

PURE = [
    re.compile(one)
    for one in (
        r"complete it",
        r"write a shorter duration",
        r"lower it, or attempts",
        r"compare it with a number",
        r"check it, and allow this rule",
        r"flatten it",
        r"rename one of them",
        r"rename it",
        r"name an earlier stage",
        r"name a file in it",
        r"there are none",
        r"it is empty",
        r"indent it like the lines it belongs to",
        r"write the file name out; vary with a profile",
        r"write the values out(, or use fewer aliases)?",
        r"write a plain word",
        r"remove one of these references or needs",
        r"an anchor .*",
        r"name the model instead",
        r"refer to a stage's output instead",
        r"put it after a key",
        r"the tools read it from the environment",
        # What is on the disk, or which model, data or adapter is meant, only the reader knows.
        r"train it again into its own folder(?:, or correct the file)?",
        r"download it again",
        r"choose a target in that range, or other bits",
        r"write prompt and completion, messages or text, or name your keys with \*_feature",
        r"remove it if this is not intended",
        r"use prompt and completion rows, or remove it",
        r"write all splits in the same format",
        r"on the hub a model is OWNER/NAME, .*",
        r"(?:use exactly|name) the model (?:it|the adapter) was trained on",
        r"use data that was not trained on",
        r"start from the original model",
        r"split the tasks across several stages",
        r"if intended, allow this rule",
        r"check it and allow this rule, or measure them in a stage of the recipe",
        r"choose another text",
        r"rules belong in the prompts file, with a prompt or its category",
        r"a category's weight belongs in the prompts file",
        # What is asked of the hub, and of a person who has an account there.
        r"is it a recipe\?",
        r"is it text\?|put it in quotes if it is text",
        # Expressions: what is to be computed is the reader's to know.
        r"give it a value",
        r"write it",
        r"quote it; a stage or a var needs a name of letters",
    )
]
# What holds a sign of code, and is not followed as it stands, by why.
STATED = {
    "of the hub, which no recipe's case asks: tests/scenarios/test_pins.py follows it": (
        r"pin what it holds now: run-recipe lock \S+",
        r"name it in hf_dataset: \{path: ORG/NAME\}, or download its rows in a stage of hf\.download, .*",
    ),
    "a fact that says why; what to write is the reader's": (
        r"mlx_lm\.fuse has no metrics",
        r"train an adapter of type lora, or use the model that the training fuses itself",
        r"fuse the adapter first, and train on the fused model",
        r"YAML 1\.2 has no numbers with colons",
        r"YAML indents with spaces, never with tabs",
        r"templates are not allowed here: write the value out, and use a profile to vary it",
        r"templates work in values, not in keys: write the name out",
        r"lists are replaced as a whole: write it out",
        r"the arguments of \w+ must be .*\(T33\)",
        r"mlx-lm has scale, which is alpha / rank \(T16\)",
        r"paths in 'extends' are relative to the file that contains them",
        r"the runner writes the -c file itself: put its keys here",
        r"metrics exist only in 'expect', after the stage has run",
        r"fuse keeps the precision of the base: quantize the result with mlx_lm\.convert",
        r"mlx_lm\.\w+ does not accept an adapter( \(T\d+\))?: fuse it first",
        r"mlx_lm\.dwq trains num_samples / batch_size steps",
        r"mlx_lm\.generate has no penalties",
    ),
    "a form that the reader fills in": (
        r"templates have expressions and filters only: \{\{ a if b else c \}\}",
        r"the tags are !reset and !override; text that starts with ! needs quotes",
        r"parameters belong to a stage: .*",
        r"remove system_prompt and start the prompt with it",
        r"create it in a stage with targets_only: true",
    ),
    "of files, which a recipe's case has none of: those of rows, files and situations have": (
        r"save the file as UTF-8",
        r"name the folder; a checkpoint needs its own folder, with adapter_config\.json",
        r"rows go into its train\.jsonl and valid\.jsonl, one per line: .*",
        r"mlx-lm does not read val\.jsonl: rename it",
        r"put its adapter_config\.json next to it, or check the scale and allow this rule",
        r"add train\.jsonl",
        r"name another data set, another split, or a smaller batch_size",
    ),
    "of an account or an installation": (
        r"run 'hf auth login' once, or set HF_TOKEN: a token in a recipe would be stored in the plan .*",
        r"use an hf\.upload stage, or pip install 'huggingface_hub<2'",
    ),
    "typed word for word by a situation": (r"use an instruct model, or .*",),
}
PROSE = [*PURE, *(re.compile(one) for group in STATED.values() for one in group)]
