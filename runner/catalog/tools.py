"""The tools of schema/tools as frozen values: their parameters, and how each is passed."""

import json
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from types import MappingProxyType
from typing import Any

from msgspec import Struct, convert, field

from runner.base.constants import RUN_DIR

Json = dict[str, Any]
LAUNCHER = "mlx.launch"
TRAINER = "run-recipe train"
HUB_FILES = "hub"
OWN, MLX_LM = "run-recipe", "mlx-lm"
OLDEST, NEWEST = "0.31.3", "0.32.2"  # of mlx-lm; schema/tools is that of the newest


class Parameter(Struct, frozen=True, kw_only=True, dict=True):
    """One parameter of a tool: its schema, its default, and how it is passed to the command."""

    name: str
    schema: Json
    emit: str
    flag: str | None
    off: str | None
    in_config: bool
    aliases: tuple[str, ...] = ()

    @property
    def apart(self) -> bool:
        """Whether its flag and its value are two arguments, as after a one-letter flag."""
        short = self.flag is not None and not self.flag.startswith("--")
        return short or bool(self.schema["x-arg"].get("apart"))

    @property
    def default(self) -> Any:
        """mlx-lm's own default."""
        return self.schema.get("default")

    @property
    def since(self) -> str | None:
        """The first release that reads it, if older supported releases do not."""
        return _text(self.schema.get("x-since"))

    @cached_property
    def read_when(self) -> tuple[Mapping[str, tuple[Any, ...]], ...] | None:
        """Under which values of others it is read: one of these suffices. None: it always is.

        Each names parameters with the values of which they must have one.
        """
        alternatives = self.schema.get("x-read-when")
        if alternatives is None:
            return None
        return tuple({name: tuple(of) for name, of in one.items()} for one in alternatives)

    def is_read(self, params: Mapping[str, Any]) -> bool:
        """Return whether the tool reads it at all with these parameters."""
        ways = self.read_when
        return ways is None or any(all(params[n] in of for n, of in one.items()) for one in ways)

    @property
    def cosmetic(self) -> bool:
        """Whether it changes only what is printed, not what is made."""
        return bool(self.schema.get("x-cosmetic"))

    def read(self, value: Any) -> Any:
        """Return a value of the tool's own parser as a recipe writes it."""
        return json.loads(value) if self.emit == "json" and isinstance(value, str) else value

    def rewrite(self, text: str) -> str:
        """Return a text as the tool changes it after its parser (``x-rewrites``)."""
        for old, new in self.schema.get("x-rewrites", {}).items():
            text = text.replace(old, new)
        return text

    def input_kind(self, params: Mapping[str, Any]) -> str | None:
        """Return the kind of input that it names ("model", "data", "file", …), if any."""
        source = self.schema.get("x-input")
        if not source or ("when" in source and not applies(source, params)):
            return None
        kind: str = source["kind"]
        return kind

    def paths(self, params: Mapping[str, Any]) -> Iterator[str]:
        """Yield the paths in its value: each of a list; of an object, the one under ``at``."""
        key, value = self.schema["x-input"].get("at"), params[self.name]
        for one in value if isinstance(value, list) else [value]:
            path = one.get(key) if isinstance(one, Mapping) else one
            if isinstance(path, str) and path:
                yield path

    def files(self, params: Mapping[str, Any]) -> Iterator[str]:
        """Yield further texts that may be files: those under the dotted keys in ``files``."""
        value = params[self.name]
        for place in self.schema["x-input"].get("files", ()):
            for one in value if isinstance(value, list) else [value]:
                inside = one
                for key in place.split("."):
                    inside = inside.get(key) if isinstance(inside, Mapping) else None
                yield from _texts(inside)


class Output(Struct, frozen=True, kw_only=True):
    """Something a tool makes: a parameter's path, or a path made of other outputs.

    `makes` is what lies there ("adapter", "model", "data", "cache", "file"); `of` are the
    parameters that may name what it is made of, the first that is set counts. `precision` says what
    becomes of a model's bits, `shape` which parameters, dotted, say an adapter's shape; rows are
    those of their source, with the share `replay` added, or in the format that `layout` names. One
    that must be `new` stops the tool where something is there. An adapter that does not record its
    type `loads_as` this one everywhere.
    """

    name: str
    param: str | None
    place: str | None
    path: str | None
    when: Mapping[str, Any]
    makes: str = "file"
    of: tuple[str, ...] = ()
    precision: Mapping[str, Any] = field(default_factory=dict)
    shape: Mapping[str, str] = field(default_factory=dict)
    replay: str | None = None
    layout: str | None = None
    new: bool = False
    loads_as: str | None = None

    def at(self, params: Mapping[str, Any]) -> str:
        """Return its path for a stage with these parameters."""
        return str(params[self.param]) if self.param else (self.path or "").format(**params)

    def within(self, stage: str) -> str:
        """Return its path in the stage's own folder of the run."""
        return f"{RUN_DIR}/{stage}/{self.place}"


class Trains(Struct, frozen=True, kw_only=True):
    """The parameters of a tool that say what every training has, None if it has no such one.

    It trains `when` these parameters have these values. With `loop` it trains in mlx-lm's own
    trainer, which `keep`, `watch` and `continue` stand around.
    """

    iterations: str
    when: Mapping[str, Any] = field(default_factory=dict)
    batch: str | None = None
    accumulation: str | None = None
    learning_rate: str | None = None
    schedule: str | None = None
    seed: str | None = None
    checkpoints: str | None = None
    validations: str | None = None
    resumes: str | None = None
    loop: bool = False


class Tool(Struct, frozen=True, kw_only=True, dict=True):
    """A tool of the catalogue; `schema` is its JSON Schema with our annotations.

    `release` is that of its package that the schema is of, '' if nothing says it.
    """

    name: str
    schema: Json
    release: str = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def maker(self) -> str:
        """The source of its defaults: a release of its package, or the tool itself."""
        if self.own or self.distribution is None:
            return self.name
        return f"{self.distribution} {self.release}".rstrip()

    @property
    def description(self) -> str:
        """What it does, in one sentence."""
        return str(self.schema["description"])

    @property
    def command(self) -> tuple[str, ...]:
        """The command that starts it in a script."""
        return tuple(self.schema["x-tool"]["command"])

    @property
    def main(self) -> tuple[str, str]:
        """The module and function that the child process calls; empty for a program."""
        module, _, function = self.schema["x-tool"].get("main", "").partition(":")
        return module, function

    @property
    def is_program(self) -> bool:
        """Whether it is a separate program, which cannot be observed."""
        return "main" not in self.schema["x-tool"]

    @property
    def program_files(self) -> tuple[str, ...]:
        """The words of its command that may be files on this disk, such as a script's path."""
        words = self.command if self.is_program else ()
        first, *rest = words or ("",)
        return tuple(word for word in ((first, *rest) if "/" in first else rest) if _is_path(word))

    @property
    def config_flag(self) -> str | None:
        """The flag of its configuration file, None if it has none."""
        return _text(self.schema["x-tool"].get("config"))

    @property
    def config_flags(self) -> tuple[str, ...]:
        """The flag of its configuration file and the flag's other names."""
        flag = self.config_flag
        return () if flag is None else (flag, *self.schema["x-tool"].get("config_aliases", ()))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that a stage of this tool measures, except those of its families."""
        return tuple(self.schema["x-tool"]["metrics"])

    def measures(self, metric: str) -> Mapping[str, Any]:
        """Return the parameters with which a stage of this tool measures `metric`."""
        when: Mapping[str, Any] = self.schema["x-tool"].get("metrics_when", {}).get(metric, {})
        return when

    def is_measured(self, metric: str, params: Mapping[str, Any]) -> bool:
        """Say whether a stage with these parameters measures `metric`; lists hold alternatives."""
        return all(
            params.get(name) in value if isinstance(value, list) else params.get(name) == value
            for name, value in self.measures(metric).items()
        )

    def has_metric(self, name: str) -> bool:
        """Return whether a stage of this tool may measure a metric of that name."""
        return name in self.metrics or self.family(name) is not None

    def family(self, name: str) -> str | None:
        """Return the parameter whose file completes a metric's name; None for other metrics."""
        for lead, parameter in self.families.items():
            if name.startswith(lead) and name != lead and name not in self.metrics:
                return parameter
        return None

    @property
    def families(self) -> Mapping[str, str]:
        """The prefixes of further metrics, and the parameter whose file completes their names."""
        leads: Mapping[str, str] = self.schema["x-tool"].get("metric_families", {})
        return leads

    @property
    def report(self) -> str | None:
        """The JSON file with its metrics, as a path made from its parameters."""
        return _text(self.schema["x-tool"].get("report"))

    @property
    def needs(self) -> tuple[str, ...]:
        """Modules it imports that mlx-lm does not install."""
        return tuple(self.schema["x-tool"].get("needs", ()))

    @property
    def resumes(self) -> bool:
        """Whether it can resume what it left unfinished."""
        return bool(self.schema["x-tool"].get("resumes"))

    @property
    def reusable(self) -> bool:
        """Whether another run may take its result: a release of its code is known, and enough."""
        return self.schema["x-tool"].get("reuse") != "never" and self.distribution is not None

    @property
    def observer(self) -> str | None:
        """The module of runner.worker that observes it while it runs."""
        return _text(self.schema["x-tool"].get("observer"))

    @property
    def loops(self) -> bool:
        """Whether it uses mlx-lm's own trainer, which keep, watch and continue wrap."""
        return self.trains is not None and self.trains.loop

    @property
    def distribution(self) -> str | None:
        """The package it comes with, by its pip name; None if there is none."""
        return _text(self.schema["x-tool"].get("distribution"))

    @property
    def own(self) -> bool:
        """Whether it is one of run-recipe's own."""
        return self.distribution == OWN

    @property
    def alone(self) -> bool:
        """Whether it is a single process that does not use ranks and loads no model."""
        return bool(self.schema["x-tool"].get("alone"))

    @property
    def reads_rows(self) -> bool:
        """Whether it reads a folder of rows like mlx-lm's trainer, with the same parameters."""
        return bool(self.schema["x-tool"].get("rows"))

    @property
    def own_template(self) -> bool:
        """Whether it gives a model without a chat template one of its own."""
        rows = self.schema["x-tool"].get("rows", "")
        return isinstance(rows, Mapping) and bool(rows.get("own_template"))

    def row_kind(self, params: Mapping[str, Any]) -> str:
        """Return what its rows are beside these parameters: "mlx-lm" is text, chat, completions."""
        rows = self.schema["x-tool"].get("rows", "")
        if isinstance(rows, str):
            return rows
        return str(rows["formats"][params[rows["by"]]])

    @property
    def chat(self) -> Mapping[str, Any]:
        """The parameters for the chat template that its prompts go through: one for each role."""
        chat: Mapping[str, Any] = self.schema["x-tool"].get("chat", {})
        return chat

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules for its stages, in addition to those for all stages."""
        return tuple(self.schema["x-tool"].get("rules", ()))

    @cached_property
    def trains(self) -> Trains | None:
        """The parameters with a training's numbers; None for a tool that never trains."""
        entry = self.schema["x-tool"].get("trains")
        return None if entry is None else convert(entry, Trains)

    def is_training(self, params: Mapping[str, Any]) -> bool:
        """Return whether a stage of this tool with these parameters trains."""
        return self.trains is not None and applies({"when": self.trains.when}, params)

    def makes(self, kind: str) -> Iterator[Output]:
        """Yield the outputs of a kind."""
        yield from (one for one in self.outputs.values() if one.makes == kind)

    @cached_property
    def parameters(self) -> Mapping[str, Parameter]:
        """Its parameters by name, in the order of the catalogue."""
        return MappingProxyType(
            {name: _parameter(name, child) for name, child in self.schema["properties"].items()}
        )

    @cached_property
    def inputs(self) -> tuple[Parameter, ...]:
        """The parameters that may name an input."""
        return tuple(one for one in self.parameters.values() if "x-input" in one.schema)

    @cached_property
    def recent(self) -> tuple[Parameter, ...]:
        """The parameters that some supported releases do not read."""
        return tuple(one for one in self.parameters.values() if one.since)

    @cached_property
    def usual(self) -> Json:
        """Its schema, with only those parameters of which it says what is usual."""
        properties = self.schema["properties"].items()
        usual = {name: _only(child, "x-usual") for name, child in properties}
        some = {name: child for name, child in usual.items() if child}
        return {"properties": some, "allOf": self.schema.get("allOf", ())}

    @cached_property
    def outputs(self) -> Mapping[str, Output]:
        """Its outputs, by the name used in ``stages.NAME.OUTPUT``."""
        entries = self.schema["x-tool"]["outputs"]
        return MappingProxyType({name: _output(name, entry) for name, entry in entries.items()})

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """Every parameter at its own default, nested ones included."""
        return MappingProxyType(complete(self.schema, {}, self.schema))


def _only(schema: Json, key: str) -> Json:
    """Return a schema with the properties and items that have a key, nothing if none has it."""
    parts = {name: _only(child, key) for name, child in schema.get("properties", {}).items()}
    items = [_only(child, key) for child in schema.get("prefixItems", ())]
    branches = schema.get("allOf", ())
    kept: Json = {"properties": {name: part for name, part in parts.items() if part}}
    kept |= {"prefixItems": items} if any(items) else {}
    kept |= {"allOf": branches} if any(key in json.dumps(one) for one in branches) else {}
    return ({key: schema[key]} if key in schema else {}) | {k: v for k, v in kept.items() if v}


def numbers(version: str) -> tuple[int, ...]:
    """Return a version's numbers, for comparing: 0.32.2 -> (0, 32, 2)."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def at(schema: Json, release: str) -> Json:
    """Return a tool's schema as a release of its package has it."""
    here = numbers(release)
    properties = {
        name: {**child, **_default_at(child, here)}
        for name, child in schema["properties"].items()
        if numbers(child.get("x-since", "0")) <= here
    }
    return {**schema, "properties": properties}


def _default_at(schema: Json, release: tuple[int, ...]) -> Json:
    """Return the default a parameter had before it was changed, where that is this release's."""
    for before, default in schema.get("x-default-before", {}).items():
        if release < numbers(before):
            return {"default": default}
    return {}


class Catalog:
    """The tools by name, each read at its first use.

    `installed` returns the release of a package to describe; None means the newest known one.
    `more` are the tools of a recipe: their schemas by name.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        read: Callable[[str], Json],
        installed: Callable[[str], str | None] | None = None,
        more: Mapping[str, Json] = MappingProxyType({}),
    ) -> None:
        self.names = tuple(sorted({*names, *more}))
        self.more = more
        self._read = read
        self._installed = installed or (lambda _: None)
        self._tools: dict[str, Tool] = {}

    @cached_property
    def launcher(self) -> Tool:
        """The launcher of several ranks; not a tool of a stage itself."""
        return Tool(name=LAUNCHER, schema=self._read(LAUNCHER))

    @cached_property
    def trainer(self) -> Tool:
        """The options around the trainer of a stage; not a tool of a stage itself."""
        return Tool(name=TRAINER, schema=self._read(TRAINER))

    def loads(self, kind: str) -> tuple[str, ...]:
        """Return the patterns of the files that tools load of a repository; none for all of it."""
        return tuple(self._read(HUB_FILES)[kind])

    def is_loaded(self, kind: str, path: str) -> bool:
        """Say whether tools load a file of a repository, by the patterns of its kind."""
        patterns = self.loads(kind)
        return not patterns or any(fnmatchcase(path, one) for one in patterns)

    def get(self, name: str) -> Tool | None:
        """Return the tool called `name`, None if the catalogue has none."""
        if name not in self.names:
            return None
        if name not in self._tools:
            self._tools[name] = self._described(name)
        return self._tools[name]

    def _described(self, name: str) -> Tool:
        """Return a tool as the release that is installed has it, or the newest that is known."""
        schema = self.more[name] if name in self.more else self._read(name)
        package = schema["x-tool"].get("distribution")
        newest = str(schema["x-tool"].get("release", NEWEST if package == MLX_LM else ""))
        here = self._installed(package) if package else None
        if here is None or numbers(here) > numbers(newest):
            return Tool(name=name, schema=schema, release=newest)
        return Tool(name=name, schema=at(schema, here), release=here)

    def ending_in(self, word: str) -> list[str]:
        """Return the tools that a short name may mean: itself, or those that end with it."""
        if word in self.names:
            return [word]
        return [name for name in self.names if name.partition(".")[2] == word]


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a value, inside lists and mappings too; none that is empty."""
    if isinstance(value, str):
        yield from [value] if value else []
    elif isinstance(value, Mapping | list):
        for child in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(child)


def applies(rule: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    """Return whether the ``when`` of an annotation holds for these parameters."""
    when: Mapping[str, Any] = rule.get("when", {})
    return when.items() <= params.items()


def branches(schema: Json, value: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    """Yield the properties of the conditional branches that hold for `value`."""
    for branch in schema.get("allOf", ()):
        conditions = branch.get("if", {}).get("properties", {})
        if conditions and all(
            value.get(key) == condition.get("const") for key, condition in conditions.items()
        ):
            yield from branch.get("then", {}).get("properties", {}).items()


def resolve(schema: Json, root: Json) -> Json:
    """Return a schema with its ``$ref`` into the same document filled in."""
    target = schema.get("$ref")
    if target is None:
        return schema
    definition = root
    for word in target.removeprefix("#/").split("/"):
        definition = definition[word]
    return {**definition, **{key: value for key, value in schema.items() if key != "$ref"}}


_PLAIN = {str, bool, float}


def complete(schema: Json, values: Mapping[str, Any], root: Json) -> Json:
    """Return `values` with all defaults, including nested ones, in the order of the schema.

    In an object with ``x-select``, only the entry that its sibling selects is completed (T30).
    """
    full: Json = {}
    properties = schema.get("properties", {})
    for name, child in properties.items():
        if name in values:
            value = values[name]
            plain = value is None or type(value) in _PLAIN
            full[name] = value if plain else _complete_value(child, value, root)
        elif "default" in child:
            full[name] = _complete_value(child, child["default"], root)
    for name, child in properties.items():
        if "x-select" not in child:
            continue
        selection, own = full.get(child["x-select"]), full.get(name)
        if (
            isinstance(selection, str)
            and isinstance(own, dict)
            and selection in child["properties"]
        ):
            full[name] = {
                selection: _complete_value(
                    child["properties"][selection], own.get(selection, {}), root
                )
            }
    return full


def _complete_value(schema: Json, value: Any, root: Json) -> Any:
    if value is None or isinstance(value, str | bool | float):
        return value
    schema = resolve(schema, root)
    if isinstance(value, dict):
        if "properties" in schema and "x-select" not in schema:
            return complete(schema, value, root)
        return dict(value)
    if isinstance(value, list):
        item = schema.get("items", {})
        return [_complete_value(item, entry, root) for entry in value]
    if schema.get("type") == "number" and type(value) is int:
        return float(value)
    return value


def _is_path(word: str) -> bool:
    return not word.startswith("-") and ("/" in word or "." in word)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _parameter(name: str, schema: Json) -> Parameter:
    travel = schema["x-arg"]
    flag = travel.get("flag")
    in_config = travel.get("config", True)
    aliases = tuple(travel.get("aliases", ()))
    return Parameter(
        name=name,
        schema=schema,
        emit=travel["emit"],
        flag=flag,
        off=travel.get("off"),
        in_config=in_config,
        aliases=aliases,
    )


def _output(name: str, entry: Json) -> Output:
    plain: Json = {"param": None, "place": None, "path": None, "when": {}}
    return convert({**plain, **entry, "name": name}, Output)
