"""Recipes of a shape and of any size: wide, deep, long, and wrong in thousands of places."""

from collections.abc import Callable

Files = dict[str, str]
HEAD = "version: 1\n"
GENERATE = "    tool: mlx_lm.generate\n    params: {model: a/b, prompt: hi}\n"
TRAIN = "    tool: mlx_lm.lora\n    params: {model: a/b, train: true, data: data, iters: 10}\n"
ONE = f"{HEAD}stages:\n  one:\n{GENERATE}"
PROMPTED = "    tool: mlx_lm.generate\n    params: {model: a/b, prompt: '{{ vars.p }}'}\n"


def rows(size: int, make: Callable[[int], str]) -> str:
    """Return rows, numbered from 0, of so many bytes."""
    found, made = [], 0
    while made < size:
        found.append(make(len(found)))
        made += len(found[-1])
    return "".join(found)


def count(size: int, make: Callable[[int], str]) -> int:
    """Return how many rows so many bytes are."""
    return rows(size, make).count("\n")


def _profiles(n: int) -> str:
    own = rows(n, lambda i: f"  p{i}: {{vars: {{p: x{i}}}}}\n")
    return f"{HEAD}vars: {{p: hi}}\nstages:\n  one:\n{PROMPTED}profiles:\n{own}"


def _chain(n: int) -> str:
    def link(i: int) -> str:
        return f"  v{i + 1}: '{{{{ vars.v{i} }}}}'\n"

    last = f"  p: '{{{{ vars.v{count(n, link)} }}}}'\n"
    return f"{HEAD}vars:\n  v0: hi\n{rows(n, link)}{last}stages:\n  one:\n{PROMPTED}"


def _circle(n: int) -> str:
    def link(i: int) -> str:
        return f"  v{i}: '{{{{ vars.v{i + 1} }}}}'\n"

    last = f"  v{count(n, link)}: '{{{{ vars.v0 }}}}'\n  p: '{{{{ vars.v0 }}}}'\n"
    return f"{HEAD}vars:\n{rows(n, link)}{last}stages:\n  one:\n{PROMPTED}"


def _stages(n: int, tail: Callable[[int], str]) -> str:
    return f"{HEAD}stages:\n  s0:\n{GENERATE}" + rows(n, lambda i: f"  s{i + 1}:{tail(i)}")


def _line(n: int, before: str, entry: Callable[[int], str], after: str) -> str:
    return before + rows(n, entry) + after


def _defaults(n: int) -> str:
    own = rows(n // 2, lambda i: f"    promptt{i}: 1\n")
    return _stages(n // 2, lambda _: f"\n{GENERATE}") + f"defaults:\n  mlx_lm.generate:\n{own}"


def _unknown_vars(n: int) -> str:
    known = rows(n // 2, lambda i: f"  known_var_{i}: 1\n")
    strange = rows(n // 2, lambda i: f"      unknown_varr_{i}: 1\n")
    return f"{ONE}vars:\n{known}profiles:\n  q:\n    vars:\n{strange}"


def _undefined(n: int) -> str:
    known = rows(n // 2, lambda i: f"  known_{i}: x\n")
    read = rows(n // 2, lambda i: f"  w{i}: '{{{{ vars.knoown_{i} }}}}'\n")
    return f"{ONE}vars:\n{known}{read}"


def _read(n: int) -> str:
    """Computed vars, fifty to a stage that reads them."""
    known = count(n * 2 // 5, lambda i: f"  v{i}: '{{{{ 1 + {i} }}}}'\n") // 50 * 50
    own = "".join(f"  v{i}: '{{{{ 1 + {i} }}}}'\n" for i in range(known))
    stages = "".join(
        f"  s{first}:\n    tool: mlx_lm.generate\n    params: {{model: a/b, prompt: '"
        + "".join(f"{{{{ vars.v{at} }}}}" for at in range(first, first + 50))
        + "'}\n"
        for first in range(0, known, 50)
    )
    return f"{HEAD}vars:\n{own}stages:\n{stages}"


def _vars(n: int, value: Callable[[int], str]) -> str:
    own = rows(n, lambda i: f"  v{i}: {value(i)}\n")
    return f"{HEAD}vars:\n  p: hi\n{own}stages:\n  one:\n{PROMPTED}"


def _deep(n: int, depth: int) -> str:
    above = "".join(f"k{at}: {{" for at in range(depth))
    return f"{ONE}vars: {{{above}{rows(n, lambda i: f'v{i}: 1, ')}{'}' * depth}}}\n"


def _path(n: int, path: Callable[[int], str]) -> str:
    return f"{HEAD}stages:\n  one:\n{TRAIN.replace('data: data', f'data: {path(n)}')}"


def _in_params(n: int, before: str, entry: Callable[[int], str], after: str) -> str:
    params = TRAIN.replace("iters: 10", f"iters: 10, {before}{rows(n, entry)}{after}")
    return f"{HEAD}stages:\n  one:\n{params}"


_PARAMS = "stages: {one: {tool: mlx_lm.generate, params: {model: a/b, prompt: hi, "
_KEYS = TRAIN.replace("iters: 10", "iters: 10, lora_parameters: {rank: 8, scale: 1.0, keys: [")
SHAPES: dict[str, Callable[[int], str]] = {
    "profiles": _profiles,
    "unknown vars in a profile": _unknown_vars,
    "a chain of vars": _chain,
    "a circle of vars": _circle,
    "undefined vars": _undefined,
    "unused vars": lambda n: f"{ONE}vars:\n" + rows(n, lambda i: f"  known_var_{i}: 1\n"),
    "wrong needs of one stage": lambda n: _line(n, f"{ONE}    needs: [", lambda i: f"st_{i}, ", "x]\n"),
    "a wrong need of each stage": lambda n: _stages(n, lambda i: f"\n{GENERATE}    needs: [sx{i}]\n"),
    "stages": lambda n: _stages(n, lambda _: f"\n{GENERATE}"),
    "stages that train": lambda n: _stages(n, lambda _: f"\n{TRAIN}"),
    "stages that extend each other": lambda n: _stages(
        n, lambda i: f" {{extends: s{i}, params: {{seed: {i}}}}}\n"
    ),
    "stages that read each other": lambda n: _stages(
        n, lambda i: "\n" + GENERATE.replace("hi", f"'{{{{ stages.s{i}.params.prompt }}}}'")
    ),
    "stages of no tool": lambda n: _stages(n, lambda i: f" {{tool: mlx_lm.loraa{i}}}\n"),
    "a circle of needs": lambda n: _stages(n, lambda i: f"\n{GENERATE}    needs: [s{i + 2}]\n"),
    "unknown parameters on a line": lambda n: _line(n, HEAD + _PARAMS, lambda i: f"p_{i}: 1, ", "}}}\n"),
    "unknown parameters on lines": lambda n: _line(
        n, ONE.replace("{model: a/b, prompt: hi}", "\n      model: a/b"), lambda i: f"      prompt_{i}: 1\n", ""
    ),
    "unknown keys of a stage": lambda n: ONE + rows(n, lambda i: f"    paramss{i}: 1\n"),
    "unknown keys of a recipe": lambda n: ONE + rows(n, lambda i: f"stagess{i}: 1\n"),
    "unknown defaults of many stages": _defaults,
    "keys of LoRA": lambda n: _line(
        n, f"{HEAD}stages:\n  one:\n" + _KEYS.partition("}\n")[0], lambda i: f"self_attn.q_proj{i}, ", "]}}\n"
    ),
    "nothing in a list": lambda n: _line(n, f"{ONE}    needs: [", lambda _: "null, ", "]\n"),
    "aliases": lambda n: _line(
        n, f"{HEAD}x-a: &a {{tool: nope, needs: [nix]}}\nstages:\n", lambda i: f"  s{i}: *a\n", ""
    ),
    "bad merge keys": lambda n: _line(n, f"{ONE}vars:\n  a: {{<<: [", lambda _: "1, ", "]}\n"),
    "a key again and again": lambda n: _line(n, f"{ONE}vars: {{", lambda _: "a: 1, ", "}\n"),
    "resets of nothing": lambda n: _line(
        n, ONE.replace("{model: a/b, prompt: hi}", "\n      model: a/b"), lambda i: f"      k{i}: !reset null\n", ""
    ),
    "rules that there are not": lambda n: _line(n, f"{ONE}    allow: [", lambda i: f"rule-{i}, ", "]\n"),
    "expectations": lambda n: _line(
        n, f"{HEAD}stages:\n  one:\n{TRAIN}    expect:\n", lambda i: f"      - metrics.train_loss < {i}\n", ""
    ),
    "a long text": lambda n: ONE.replace("hi", "x" * n),
    "a long name": lambda n: ONE.replace("prompt:", f"? {'p' * n}\n      :"),
    "open brackets": lambda n: "[" * n,
    "templates in one text": lambda n: f"{HEAD}vars: {{p: x}}\nstages:\n  one:\n" + PROMPTED.replace(
        "{{ vars.p }}", "{{ vars.p }}" * (n // 12)
    ),
    "computed vars": lambda n: _vars(n, lambda i: f"'{{{{ 1 + {i} }}}}'"),
    "computed vars that stages read": _read,
    "vars that divide by zero": lambda n: _vars(n, lambda i: f"'{{{{ {i} / 0 }}}}'"),
    "broken templates": lambda n: _vars(n, lambda _: "'{{ vars. }}'"),
    "vars of the environment": lambda n: _vars(n, lambda i: f"\"{{{{ env('A{i}') }}}}\""),
    "vars that read no stage": lambda n: _vars(n, lambda i: f"'{{{{ stages.u{i}.x }}}}'"),
    "unknown tags": lambda n: _vars(n, lambda i: f"!t{i} 1"),
    "unknown tags of mappings": lambda n: _vars(n, lambda i: f"!t{i} {{}}"),
    "anchors": lambda n: _vars(n, lambda i: f"&n{i} 1"),
    "anchors and aliases": lambda n: _vars(n, lambda i: f"&n{i} 1\n  w{i}: *n{i}"),
    "merges": lambda n: _vars(n, lambda i: f"{{<<: {{a: 1}}, b{i}: 1}}"),
    "deep values": lambda n: _vars(n, lambda _: f"{'{a: ' * 60}1{'}' * 60}"),
    "deep lists": lambda n: _vars(n, lambda _: f"{'[' * 60}1{']' * 60}"),
    "unused vars thirty deep": lambda n: _deep(n, 30),
    "unused vars sixty deep": lambda n: _deep(n, 60),
    "keys that are numbers": lambda n: _line(n, f"{ONE}vars: {{", lambda i: f"{i}: 1, ", "}\n"),
    "keys that are lists": lambda n: f"{ONE}vars:\n" + rows(n, lambda i: f"  ? [a{i}]\n  : 1\n"),
    "keys that are templates": lambda n: _line(n, f"{ONE}vars: {{", lambda _: "{{ a }}, ", "}\n"),
    "keys without a value": lambda n: _line(n, f"{ONE}vars: {{", lambda i: f"a{i}: , ", "}\n"),
    "keys that act on a terminal": lambda n: _line(n, f"{ONE}vars: {{", lambda i: f'"\\e[{i}m": 1, ', "}\n"),
    "decimal commas": lambda n: _line(n, f"{ONE}vars: {{", lambda i: f"a{i}: 1,5, ", "}\n"),
    "numbers with a zero before": lambda n: _vars(n, lambda _: "007"),
    "a long number": lambda n: _vars(1, lambda _: "9" * n),
    "a long path": lambda n: _path(n, lambda n: "d/" * (n // 2)),
    "a long name of a file": lambda n: _path(n, lambda n: "d" * n),
    "a long expression": lambda n: _vars(1, lambda _: f"'{{{{ 1{'+1' * (n // 2)} }}}}'"),
    "a long chain of names": lambda n: _vars(1, lambda _: f"'{{{{ vars{'.a' * (n // 2)} }}}}'"),
    "documents": lambda n: ONE + rows(n, lambda _: "---\na: 1\n"),
    "comments": lambda n: ONE + rows(n, lambda i: f"# {i}\n"),
    "tabs": lambda n: ONE + "\t" * n,
    "lines of a description": lambda n: f"{ONE}description: |\n" + rows(n, lambda i: f"  {i}\n"),
    "own keys": lambda n: ONE + rows(n, lambda i: f"x-{i}: 1\n"),
    "unknown trackers": lambda n: f"{ONE}track:\n" + rows(n, lambda i: f"  t{i}: {{}}\n"),
    "unknown tools with defaults": lambda n: f"{ONE}defaults:\n" + rows(n, lambda i: f"  mlx_lm.lorra{i}: {{}}\n"),
    "profiles of a stage": lambda n: f"{ONE}profiles:\n" + rows(n, lambda i: f"  p{i}: {{stages: {{one: {{params: {{seed: {i}}}}}}}}}\n"),
    "files it extends": lambda n: _line(n, f"{ONE}extends: [", lambda i: f"f{i}.yaml, ", "x.yaml]\n"),
    "hosts": lambda n: _line(n, f"{HEAD}stages:\n  one:\n{TRAIN}    launch: {{hosts: [", lambda i: f"h{i}, ", "h]}\n"),
    "variables of a launch": lambda n: _line(n, f"{HEAD}stages:\n  one:\n{TRAIN}    launch: {{hosts: 2, env: {{", lambda i: f"V{i}: a, ", "}}\n"),
    "what is watched": lambda n: f"{HEAD}stages:\n  one:\n{TRAIN}    watch:\n" + rows(n, lambda i: f"      w{i}: {{data: d}}\n"),
    "unknown metrics": lambda n: f"{HEAD}stages:\n  one:\n{TRAIN}    expect:\n" + rows(n, lambda i: f"      - metrics.nope{i} < 1\n"),
    "stages that write alike": lambda n: _stages(n, lambda i: "\n" + TRAIN.replace("iters", f"adapter_path: out, seed: {i}, iters")),
    "stages that resume each other": lambda n: f"{HEAD}stages:\n  s0:\n{TRAIN}" + rows(
        n, lambda i: f"  s{i + 1}:\n" + TRAIN.replace("iters", f"resume_adapter_file: '{{{{ stages.s{i}.adapter_file }}}}', iters")
    ),
    "rules of data.mix that there are not": lambda n: _line(
        n, f"{HEAD}stages:\n  one:\n    tool: data.mix\n    params: {{primary: a, replay: b}}\n    allow: [", lambda i: f"no-rule-{i}, ", "x]\n"
    ),
    "unknown keys of lora_parameters": lambda n: _in_params(n, "lora_parameters: {", lambda i: f"r{i}: 1, ", "}"),
    "data sets of the hub": lambda n: _in_params(n, "hf_dataset: [", lambda i: f"{{path: a/b{i}}}, ", "]"),
    "arguments of a schedule": lambda n: _in_params(n, "lr_schedule: {name: cosine_decay, arguments: [", lambda _: "1e-5, ", "]}"),
}  # fmt: skip
