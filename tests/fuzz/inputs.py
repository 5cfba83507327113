"""Inputs of each class: files, and the commands that read them.

They are drawn by hypothesis from what recipes, scripts, rows and runs are made of, and from what
breaks readers of them.
"""

import functools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
OUTSIDE = "@OUTSIDE@"
"""Stands for the folder outside of the project that has the canary in it."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """Files by name, and the commands to run in their folder.

    `judges` are compared with the first command, where that is a `check`; `sentinels` are values
    that must arrive. `base` is a folder that is laid below the files.
    """

    files: dict[str, bytes]
    commands: tuple[tuple[str, ...], ...]
    judges: tuple[tuple[str, ...], ...] = ()
    sentinels: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    base: str = ""


# What breaks readers.
ODD = (
    "", " ", "\t", "\n", "\r", "\x00", "\x07", "\x1b[31m", "\x1b]52;c;aGk=\x07", "\x7f", "\x85",
    "\u00a0", "\u2028", "\u202e", "\ufeff", "\ufffe", "\U0010ffff", "é", "e\u0301", "İ", "ß",
    "'", '"', "`", "$", "$(touch PWNED)", "`touch PWNED`", "${HOME}", "\\", "\\n", "!", "#", "&",
    "*", "%", "@", "|", ">", "<", ";", "~", "?", "-", "--", "-c", "- ", ":", ": ", "::error::x",
    "{", "}", "{{", "}}", "{%", "{#", "${{ x }}", "[", "]", "null", "~", "true", "no", "0", "-0",
    "1e400", ".inf", ".nan", "0x1f", "0o7", "1_000", "9" * 30, "9" * 5_000, "1:30", "2020-01-01",
    "..", "../x", "/", "//", "/dev/null", "/dev/zero", "/dev/stdin", f"{OUTSIDE}/canary.yaml",
    f"{OUTSIDE}/canary", f"{OUTSIDE}/canary.sh", "a/" * 200, "x" * 300, "x" * 5_000,
    "EOF", "PY", "&a", "*a", "<<", "!reset", "!override", "!!int", "!!python/name:os.system",
    "builtin:base/lora", "con", "nul", "hf_" + "a" * 34, "\ud800".encode("utf-8", "surrogatepass")
    .decode("latin-1"),
)  # fmt: skip
KEYS = (
    "version", "name", "description", "extends", "vars", "defaults", "stages", "profiles", "track",
    "tool", "params", "needs", "timeout", "retry", "budget", "launch", "keep", "watch", "continue",
    "expect", "allow", "model", "data", "train", "test", "iters", "prompt", "adapter_path", "seed",
    "lora_parameters", "rank", "scale", "keys", "learning_rate", "lr_schedule", "optimizer_config",
    "resume_adapter_file", "epochs", "hosts", "attempts", "delay", "tools", "mlflow", "one", "two",
    "mlx_lm.lora", "mlx_lm.generate", "x-mine", "<<",
)  # fmt: skip
EXPRESSIONS = (
    "vars.a", "vars.b", "vars.nix", "vars", "vars.a.b", "stages.one.params.model", "stages.one",
    "stages.two.adapter_path", "stage.name", "stage.params.seed", "recipe.dir", "recipe.name",
    "env('A', 1)", "env('HOME')", "env('HF_TOKEN')", "metrics.train_loss", "1", "1.5", "'x'", "[]",
    "{}", "none", "true", "range(5)", "range(10**9)", "[[[0]*1000]*1000]*1000", "'a'*10**9",
    "10**10**10", "(1,2)", "{'a': 1}", "''.__class__", "vars.__class__", "x.x.x", "1/0", "9" * 4400,
    "'%(a).999999f' % {'a': 1.0}", "dict(a=1)", "lipsum", "self", "namespace()", "cycler(1)",
)  # fmt: skip
FILTERS = (
    "int", "float", "string", "list", "join(',')", "join", "sum", "sum(start=[])", "sort", "length",
    "replace('a','b')", "round(3)", "default(1)", "upper", "tojson", "safe", "map('int')", "first",
    "batch(2)", "unique", "abs", "nix", "format", "truncate(3)", "indent(99999)", "center(99999)",
)  # fmt: skip
OPERATORS = (
    "+",
    "-",
    "*",
    "/",
    "//",
    "**",
    "%",
    "~",
    "==",
    "!=",
    "<",
    ">=",
    "and",
    "or",
    "in",
    "is",
)

odd = st.sampled_from(ODD)
word = st.one_of(odd, st.sampled_from(KEYS), st.text(max_size=12), st.integers().map(str))


@st.composite
def expressions(draw, depth=2):
    one = st.sampled_from(EXPRESSIONS)
    if not depth or draw(st.integers(0, 6)) == 0:
        return draw(one)
    inner = [draw(expressions(depth=depth - 1)) for _ in range(3)]
    operator, use = draw(st.sampled_from(OPERATORS)), draw(st.sampled_from(FILTERS))
    deep = draw(st.sampled_from(["1*", "x.", "-", "not ", "[", "(", "{1:"]))
    shapes = (
        f"{inner[0]} {operator} {inner[1]}",
        f"({inner[0]}) | {use}",
        f"{inner[0]} if {inner[1]} else {inner[2]}",
        deep * draw(st.sampled_from([2, 30, 300, 3000])) + draw(one),
        f"({inner[0]})[{inner[1]}]",
        f"[{inner[0]}, {inner[1]}] | {use}",
    )
    return draw(st.sampled_from(shapes))


templates = st.one_of(
    expressions().map(lambda said: f"{{{{ {said} }}}}"),
    st.tuples(word, expressions(), word).map(lambda t: f"{t[0]}{{{{ {t[1]} }}}}{t[2]}"),
)
scalars = st.one_of(
    word,
    templates,
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.sampled_from(["a/b", "data", "hi", "metrics.train_loss < 1", "one", "two"]),
)
values = st.recursive(
    scalars,
    lambda inside: st.one_of(
        st.lists(inside, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), word), inside, max_size=4),
    ),
    max_leaves=12,
)


def dumped(value: object) -> bytes:
    """Return values as JSON, which is YAML: odd signs as escapes."""
    return json.dumps(value, ensure_ascii=True).encode()


GENERATE = {"tool": "mlx_lm.generate", "params": {"model": "a/b", "prompt": "hi"}}
LORA = {
    "tool": "mlx_lm.lora",
    "params": {"model": "a/b", "train": True, "data": "data", "iters": 10},
}
LOOKS = (
    ("r.yaml", "-n"),
    ("r.yaml", "-n", "--format", "json"),
    ("show", "r.yaml", "--format", "json"),
)
FORMATS = (("check", "r.yaml", "--format", "sarif"), ("check", "r.yaml", "--format", "github"))


@functools.cache
def _shipped() -> list[bytes]:
    found = [*(ROOT / "recipes").rglob("*.yaml"), *(ROOT / "tests/golden").rglob("*.yaml")]
    return [path.read_bytes() for path in sorted(found)]


@functools.cache
def _scripts() -> list[bytes]:
    found = [
        *(ROOT / "tests/golden/import").glob("*.sh"),
        *(ROOT / "recipes/__snapshots__").glob("*.sh"),
    ]
    return [path.read_bytes() for path in sorted(found)]


@st.composite
def mutated(draw, texts):
    """Draw one of some texts with a few pieces cut out, doubled, swapped or put in."""
    data = draw(st.sampled_from(texts))
    dice = random.Random(draw(st.integers(0, 2**32)))
    for _ in range(draw(st.integers(1, 5))):
        at = dice.randrange(len(data) + 1)
        end = min(len(data), at + dice.choice([1, 2, 5, 20, 100]))
        kind = dice.randrange(6)
        if kind == 0:
            data = data[:at] + data[end:]
        elif kind == 1:
            data = data[:at] + data[at:end] * dice.choice([2, 3, 50]) + data[end:]
        elif kind == 2:
            data = data[:at] + dice.choice(ODD).encode() + data[at:]
        elif kind == 3:
            data = data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
        elif kind == 4:
            rows = data.split(b"\n")
            one, two = dice.randrange(len(rows)), dice.randrange(len(rows))
            rows[one], rows[two] = rows[two], rows[one]
            data = b"\n".join(rows)
        else:
            other = dice.choice(texts)
            cut = dice.randrange(len(other) + 1)
            data = data[:at] + other[cut : cut + 200] + data[end:]
    return data


@st.composite
def yaml_texts(draw):
    kind = draw(st.integers(0, 3))
    if kind == 0:
        data = draw(mutated(_shipped()))
    elif kind == 1:
        signs = st.sampled_from([*ODD, *KEYS, "\n", "\n  ", "\n    ", ": ", "- ", ", ", "{", "["])
        data = "".join(draw(st.lists(signs, max_size=40))).encode("utf-8", "surrogatepass")
    elif kind == 2:
        data = draw(st.binary(max_size=200))
    else:
        data = dumped(draw(values))
    return Input(
        files={"r.yaml": data},
        commands=(("check", "r.yaml"), draw(st.sampled_from(FORMATS)), ("r.yaml", "-n")),
        judges=LOOKS[:1],
    )


@st.composite
def template_recipes(draw):
    filled = {
        "version": 1,
        "vars": {"a": draw(st.one_of(scalars, templates)), "b": draw(templates)},
        "stages": {
            "one": {
                "tool": "mlx_lm.generate",
                "params": {"model": "a/b", "prompt": draw(templates)},
            },
            "two": {
                **LORA,
                "params": {**LORA["params"], "iters": draw(st.one_of(st.just(10), templates))},
                "expect": [draw(expressions())],
            },
        },
    }
    if draw(st.booleans()):
        filled["stages"]["one"]["params"]["seed"] = draw(templates)
    return Input(
        files={"r.yaml": dumped(filled)}, commands=(("check", "r.yaml"),), judges=LOOKS[:2]
    )


@st.composite
def recipes(draw):
    """Draw whole recipes, of which some are sound, with values that must arrive."""
    marks = [f"sentinel{number}x" for number in range(4)]
    dress = st.tuples(odd, odd)

    def dressed(mark: str) -> str:
        before, after = draw(dress) if draw(st.booleans()) else ("", "")
        return f"{before}{mark}{after}".replace("{", "(").replace("}", ")")

    first = {"tool": "mlx_lm.generate", "params": {"model": "a/b", "prompt": dressed(marks[0])}}
    second = {
        "tool": "mlx_lm.lora",
        "params": {**LORA["params"], "adapter_path": dressed(marks[1])},
    }
    third = {"extends": "one", "params": {"system_prompt": dressed(marks[2])}}
    said = {"version": 1, "stages": {"one": first, "two": second, "three": third}}
    sentinels = marks[:3]
    if draw(st.booleans()):
        said["vars"] = {"a": dressed(marks[3])}
        first["params"]["chat_template_config"] = "{{ vars.a }}"
        sentinels = marks
    for _ in range(draw(st.integers(0, 2))):
        where = draw(
            st.sampled_from([said, first, second, third, first["params"], second["params"]])
        )
        where[draw(st.one_of(st.sampled_from(KEYS), odd))] = draw(values)
        sentinels = []
    name = draw(
        st.sampled_from(["r.yaml", "r.yaml", "r.yaml", "$(touch x).yaml", "it's.yaml", 'a"b.yaml'])
    )
    looks = tuple(tuple(name if one == "r.yaml" else one for one in words) for words in LOOKS)
    return Input(
        files={name: dumped(said)},
        commands=(("check", name),),
        judges=looks,
        sentinels=tuple(sentinels),
    )


@st.composite
def overrides(draw):
    paths = st.sampled_from(
        ["vars.a", "vars.nix", "stages.one.params.seed", "stages.one.params.prompt", "stages.one",
         "defaults.mlx_lm.generate.temp", "name", "stages", "", ".", "a" + "." * 50, "." * 1000,
         "stages.one.params.prompt[0]", "vars.a.b.c", "profiles.p", "version", "extends", "params"],
    )  # fmt: skip
    path = st.one_of(paths, word)
    text = st.one_of(word, templates, values.map(lambda one: dumped(one).decode()))
    pairs = draw(
        st.lists(st.tuples(path, st.sampled_from(["=", "=", "=", "", "=="]), text), max_size=4)
    )
    sets = [("".join(pair)).replace("\x00", "") for pair in pairs]
    said = {
        "version": 1,
        "vars": {"a": 1},
        "stages": {
            "one": {"tool": "mlx_lm.generate", "params": {"model": "a/b", "prompt": "{{ vars.a }}"}}
        },
        "profiles": {"p": {"vars": {"a": 2}}},
    }
    more = [word for one in sets for word in ("--set", one)]
    more += [
        w
        for one in draw(st.lists(word, max_size=2))
        for w in ("--profile", one.replace("\x00", ""))
    ]
    environ = {}
    if draw(st.booleans()):
        environ = {"RECIPE_VARS_A": draw(text).replace("\x00", "")}
    more = [one.encode("utf-8", "replace").decode() for one in more]
    environ = {k: v.encode("utf-8", "replace").decode() for k, v in environ.items()}
    looks = tuple((*words, *more) for words in LOOKS)
    return Input(
        files={"r.yaml": dumped(said)},
        commands=(("check", "r.yaml", *more),),
        judges=looks,
        environ=environ,
    )


@st.composite
def imports(draw):
    kind = draw(st.integers(0, 3))
    name = "s.sh"
    if kind == 0:
        data = draw(mutated(_scripts()))
    elif kind == 1:
        pieces = st.one_of(
            st.sampled_from(
                ["mlx_lm.lora ", "--model a/b ", "--iters 5 ", "--data d ", "-c c.yaml ", "A=1\n", "A=$A$A\n",
                 "$A ", "${A:-x} ", "${A%x} ", "${A//a/b} ", "$((1+1)) ", "$((9**9**9)) ", "$(date) ", "for i in 1 2; do\n",
                 "done\n", "if true; then\n", "fi\n", "B=(1 2 3)\n", "B+=(${B[@]} ${B[@]})\n", "${B[@]} ", "<<EOF\n", "EOF\n",
                 "$'\\x'", "$'\\uZZ'", "$'\\U0011ffff'", "\\\n", "\n", "; ", "&& ", "| tee x ", "python -m mlx_lm.fuse ",
                 "cat > c.yaml <<EOF\niters: 5\nEOF\n", "while :; do\n", "f() {\n", "}\n", "{1..9999999}", "export HF_TOKEN=hf_"
                 + "a" * 34 + "\n", f". {OUTSIDE}/canary.sh\n", f"-c {OUTSIDE}/canary.yaml ", "-c /dev/stdin ", "-c /dev/zero "],
            ),
            word,
        )  # fmt: skip
        data = "".join(draw(st.lists(pieces, max_size=25))).encode("utf-8", "surrogatepass")
    elif kind == 2:
        name, data = "c.yaml", dumped(draw(values))
    else:
        name = "adapter_config.json"
        known = {
            "model": "a/b",
            "iters": 5,
            "train": True,
            "fine_tune_type": "lora",
            "lora_parameters": {"rank": 8},
        }
        data = json.dumps(
            {**known, **draw(st.dictionaries(st.sampled_from(KEYS), values, max_size=3))}
        ).encode()
    files = {name: data, "c.yaml": draw(st.one_of(st.just(b"iters: 5\n"), values.map(dumped)))}
    if name == "c.yaml":
        files = {name: data}
    return Input(files=files, commands=(("import", name),))


ROWS = (
    '{"text": "hi"}', '{"prompt": "a", "completion": "b"}',
    '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}',
    '{"messages": []}', '{"text": 1}', "{}", "[]", "null", "1e400", "NaN", '{"text": NaN}', "[" * 3000,
    '{"a":' * 3000, '{"text": "\\ud800"}', '{"text": "a", "text": "b"}', '{"tools": [{"type": 1}]}',
    "9" * 5000, '{"text": "' + "x" * 9000 + '"}', "\ufeff{}", '{"messages": "x"}', '"x"', "{'text': 1}",
)  # fmt: skip


@st.composite
def rows(draw):
    line = st.one_of(st.sampled_from(ROWS), values.map(lambda one: dumped(one).decode()), word)
    ending = st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n", ""])
    files = {}
    for name in ("train", "valid", "test"):
        lines = draw(st.lists(st.tuples(line, ending), max_size=6))
        text = "".join(f"{one}{end}" for one, end in lines)
        files[f"data/{name}.jsonl"] = text.encode("utf-8", "surrogatepass")
    if draw(st.booleans()):
        files["data/train.jsonl"] = draw(
            st.one_of(st.binary(max_size=100), mutated([r.encode() for r in ROWS]))
        )
    said = {"version": 1, "stages": {"two": LORA}}
    more = draw(st.sampled_from([("--format", "json"), ()]))
    return Input(
        files={**files, "r.yaml": dumped(said)},
        commands=(("check", "r.yaml"), ("data", "check", "data", *more)),
        judges=LOOKS[:1],
    )


def safetensors(header: bytes, size: int | None = None) -> bytes:
    """Return a file with such a header."""
    return (len(header) if size is None else size).to_bytes(8, "little", signed=False) + header


@st.composite
def models(draw):
    known = {
        "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "vocab_size": 100, "intermediate_size": 128, "max_position_embeddings": 64, "num_key_value_heads": 4,
        "rms_norm_eps": 1e-5, "quantization": {"bits": 4, "group_size": 64}, "eos_token_id": 1,
    }  # fmt: skip
    adapter = {
        "fine_tune_type": "lora",
        "num_layers": 2,
        "lora_parameters": {"rank": 8, "scale": 2.0, "dropout": 0.0},
    }
    harm = st.one_of(
        st.just({}),
        st.dictionaries(
            st.sampled_from([*known, *adapter, "rank", "keys", "scale"]), values, max_size=3
        ),
    )
    config = {**known, **draw(harm)}
    told = {**adapter, **draw(harm)}
    weights = {
        "a.lora_a": {"dtype": "F32", "shape": [64, 8], "data_offsets": [0, 2048]},
        **draw(harm),
    }
    broken = st.one_of(
        st.just(None),
        st.sampled_from([b"", b"[" * 100_000, b"{", b"null", b"[]", b"\xff", b"1e999"]),
    )
    odd_size = st.sampled_from([None, None, 0, 2**63, 2**40, 7])
    files = {
        "model/config.json": draw(broken) or json.dumps(config).encode(),
        "model/tokenizer_config.json": draw(broken) or dumped(draw(values)),
        "adapters/adapter_config.json": draw(broken) or json.dumps(told).encode(),
        "adapters/adapters.safetensors": safetensors(json.dumps(weights).encode(), draw(odd_size)),
        "model/model.safetensors": safetensors(json.dumps(weights).encode(), draw(odd_size)),
        "data/train.jsonl": b'{"text": "hi"}\n' * 8,
        "data/valid.jsonl": b'{"text": "hi"}\n' * 8,
    }
    train = {
        **LORA,
        "params": {
            **LORA["params"],
            "model": "model",
            "resume_adapter_file": "adapters/adapters.safetensors",
        },
    }
    fuse = {"tool": "mlx_lm.fuse", "params": {"model": "model", "adapter_path": "adapters"}}
    said = {"version": 1, "stages": {"two": train, "fuse": fuse}}
    return Input(
        files={**files, "r.yaml": dumped(said)},
        commands=(("check", "r.yaml"), ("import", "adapters/adapter_config.json")),
        judges=LOOKS[:1],
    )


@st.composite
def suites(draw):
    keys = st.sampled_from(
        ["stages", "params", "expect", "problems", "profile", "set", "env", "smoke", "nix"]
    )
    cases = st.dictionaries(
        st.one_of(word, st.just("c")), st.dictionaries(keys, values, max_size=4), max_size=3
    )
    sound = st.fixed_dictionaries(
        {},
        optional={
            "stages": st.just(["one"]),
            "params": st.dictionaries(
                st.sampled_from(["one.prompt", "one.nix", "two.x", "one"]), scalars, max_size=2
            ),
            "expect": st.lists(expressions(), max_size=2),
            "problems": st.lists(word, max_size=2),
            "set": st.dictionaries(
                st.sampled_from(["vars.a", "stages.one.params.seed"]), scalars, min_size=1
            ),
            "smoke": st.booleans(),
        },
    )
    said = {"tests": draw(st.one_of(cases, st.dictionaries(st.just("c"), sound, min_size=1)))}
    if draw(st.booleans()):
        said["recipe"] = draw(st.one_of(st.just("r.yaml"), word))
    if draw(st.booleans()):
        said["snapshots"] = draw(values)
    recipe = {
        "version": 1,
        "vars": {"a": 1},
        "stages": {"one": {**GENERATE, "params": {"model": "a/b", "prompt": "{{ vars.a }}"}}},
    }
    data = (
        draw(mutated([dumped(said), dumped(recipe)]))
        if draw(st.integers(0, 3)) == 0
        else dumped(said)
    )
    return Input(
        files={"r.yaml": dumped(recipe), "r.test.yaml": data},
        commands=(("check", "r.yaml", "--tests"), ("check", "r.test.yaml")),
    )


@st.composite
def damaged(draw, run):
    """Draw a run on disk that lost or gained something: `run` is the folder of a sound one."""
    files = {}
    known = sorted(
        path for path in Path(run).rglob("*") if path.is_file() and not path.is_symlink()
    )
    names = [str(path.relative_to(run)) for path in known]
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)):
        data = (Path(run) / name).read_bytes()
        kind = draw(st.integers(0, 5))
        if kind == 0:
            files[name] = draw(
                st.sampled_from([b"", b"null", b"[]", b"{}", b"[" * 50_000, b"\xff\xfe", b"{"])
            )
        elif kind == 1 and name.endswith(".json"):
            files[name] = _harmed(data, draw)
        elif kind == 2:
            files[name] = data[: draw(st.integers(0, max(1, len(data))))]
        elif kind == 3 and name.endswith(".jsonl"):
            files[name] = data + dumped(draw(values)) + b"\n"
        else:
            files[name] = draw(mutated([data or b"x"]))
    said = (
        ("runs",),
        ("status",),
        ("audit",),
        ("report", "--format", "json"),
        ("r.yaml", "--resume", "-n"),
    )
    return Input(files=files, commands=(*said, ("runs", "--format", "json")), base=str(run))


def _harmed(data: bytes, draw: Callable) -> bytes:
    """Return JSON with a value in it replaced."""
    try:
        said = json.loads(data)
    except ValueError:
        return b"{"
    at = said
    for _ in range(draw(st.integers(0, 5))):
        if isinstance(at, dict) and at:
            key = draw(st.sampled_from(sorted(at)))
        elif isinstance(at, list) and at:
            key = draw(st.integers(0, len(at) - 1))
        else:
            break
        if not isinstance(at[key], dict | list) or draw(st.integers(0, 3)) == 0:
            at[key] = draw(values)
            break
        at = at[key]
    return json.dumps(said).encode("utf-8", "surrogatepass")


CLASSES: dict[str, Callable[[], st.SearchStrategy[Input]]] = {
    "yaml": yaml_texts,
    "templates": template_recipes,
    "recipes": recipes,
    "overrides": overrides,
    "imports": imports,
    "rows": rows,
    "models": models,
    "tests": suites,
}
