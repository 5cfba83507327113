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
}  # fmt: skip
