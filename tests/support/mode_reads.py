"""The source of mlx-lm-lora in, out which of its parameters each mode reads, in training and test.

Nothing is imported or run: its modules are read with ast. A value that is only compared to raise an
error, or handed to arguments of a trainer that never reads the field, is not read.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

Reads = dict[str, dict[str, set[str]]]  # parameter -> mode -> phases
ARGS = "args"


class Package:
    """The modules of the package, and their functions and classes by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trees = {
            name: ast.parse((folder / name).read_text(encoding="utf-8"))
            for name in ("train.py", *(f"trainer/{p.name}" for p in folder.glob("trainer/*.py")))
        }
        self.main = self.trees["train.py"]

    def function(self, name: str, module: str = "") -> ast.FunctionDef | None:
        """Return a function of a module, or of any."""
        trees = [self.trees[module]] if module else self.trees.values()
        for tree in trees:
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef) and node.name == name:
                    return node
        return None

    def fields(self, name: str) -> list[str]:
        """Return the fields of a dataclass, those of its bases first."""
        for tree in self.trees.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef) and node.name == name:
                    above = [f for b in node.bases for f in self.fields(ast.unparse(b))]
                    own = [
                        s.target.id
                        for s in node.body
                        if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)
                    ]
                    return [*dict.fromkeys([*above, *own])]
        return []

    def modes(self) -> list[str]:
        """Return the choices of --train-mode."""
        for node in ast.walk(self.main):
            if (
                isinstance(node, ast.Call)
                and node.args
                and ast.unparse(node.args[0]) == "'--train-mode'"
            ):
                choices = next(k.value for k in node.keywords if k.arg == "choices")
                return list(ast.literal_eval(choices))
        raise LookupError("--train-mode")


def truth(node: ast.expr, known: dict[str, object]) -> bool | None:  # noqa: PLR0911
    """Say whether a condition holds by what is known of args, None where that does not say it."""
    match node:
        case ast.BoolOp(op=op, values=values):
            parts = [truth(one, known) for one in values]
            stop = isinstance(op, ast.Or)
            if stop in parts:
                return stop
            return None if None in parts else not stop
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            value = truth(inner, known)
            return None if value is None else not value
        case ast.Attribute(value=ast.Name(id="args"), attr=name) if name in known:
            return bool(known[name])
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            name = (
                left.attr
                if isinstance(left, ast.Attribute) and ast.unparse(left.value) == ARGS
                else left.id
                if isinstance(left, ast.Name)
                else ""
            )
            if name not in known or not isinstance(right, ast.Constant | ast.List | ast.Tuple):
                return None
            other = ast.literal_eval(right)
            return known[name] == other if isinstance(op, ast.Eq) else known[name] in other
    return None


def only_raises(body: list[ast.stmt]) -> bool:
    return bool(body) and all(isinstance(one, ast.Raise) for one in body)


def running(body: list[ast.stmt], known: dict[str, object]) -> Iterator[ast.AST]:
    """Yield the parts of statements that run under what is known; checks that raise are none."""
    for one in body:
        if isinstance(one, ast.If):
            holds = truth(one.test, known)
            if holds is None and not only_raises(one.body):
                yield one.test
            if holds is not False and not only_raises(one.body):
                yield from running(one.body, known)
            if holds is not True:
                yield from running(one.orelse, known)
        elif isinstance(one, ast.FunctionDef | ast.For | ast.While | ast.With | ast.Try):
            if isinstance(one, ast.For):
                yield one.iter
            for part in ("body", "orelse", "finalbody"):
                yield from running(getattr(one, part, []), known)
            for handler in getattr(one, "handlers", []):
                yield from running(handler.body, known)
        else:
            yield Choosing(known).visit(ast.parse(ast.unparse(one)))


class Choosing(ast.NodeTransformer):
    """Replaces conditional expressions by the branch that is taken."""

    def __init__(self, known: dict[str, object]) -> None:
        self.known = known

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        holds = truth(node.test, self.known)
        if holds is None:
            return self.generic_visit(node)
        return self.visit(node.body if holds else node.orelse)


def attributes(node: ast.AST, name: str = ARGS) -> set[str]:
    """Return the attributes of args that a piece of code reads by name."""
    found = set()
    for one in ast.walk(node):
        match one:
            case ast.Attribute(value=ast.Name(id=owner), attr=attr, ctx=ast.Load()) if (
                owner == name
            ):
                found.add(attr)
            case ast.Call(
                func=ast.Name(id="getattr"),
                args=[ast.Name(id=owner), ast.Constant(value=str(attr)), *_],
            ) if owner == name:
                found.add(attr)
    return found


def field_reads(package: Package, function: ast.FunctionDef, seen: set[str]) -> set[str]:
    """Return the fields of its args that a trainer reads, itself or in what it hands them on to."""
    fields: set[str] = set()
    for part in running(function.body, {}):
        fields |= attributes(part)
        for call in ast.walk(part):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                words = [*call.args, *(k.value for k in call.keywords)]
                handed = any(isinstance(w, ast.Name) and w.id == ARGS for w in words)
                inner = package.function(call.func.id) if handed else None
                if inner is not None and inner.name not in seen:
                    fields |= field_reads(package, inner, seen | {inner.name})
    return fields


def handed(  # noqa: PLR0912
    parts: list[ast.AST], package: Package
) -> tuple[dict[str, set[str]], set[str]]:
    """Return the fields of trainer's arguments with the parameters they are made of, and the rest.

    A field stands in a call of ...TrainingArgs, in a dict of them, or is set in one.
    """
    fields: dict[str, set[str]] = {}
    inside: set[int] = set()

    def keep(name: str, value: ast.AST) -> None:
        fields.setdefault(name, set()).update(attributes(value))
        inside.update(map(id, ast.walk(value)))

    for part in parts:
        for node in ast.walk(part):
            match node:
                case ast.Call(func=ast.Name(id=name), keywords=keywords) if name.endswith(
                    "TrainingArgs"
                ):
                    for one in keywords:
                        if one.arg:
                            keep(one.arg, one.value)
                case ast.Call(func=ast.Name(id="_dsla_training_args")):
                    maker = package.function("_dsla_training_args")
                    assert maker is not None
                    for name in package.fields("DSLATrainingArgs"):
                        fields[name] = {name}
                    for call in ast.walk(maker):
                        match call:
                            case ast.Call(func=ast.Attribute(attr="update"), keywords=own):
                                for one in own:
                                    if one.arg:
                                        fields[one.arg] = attributes(one.value)
                case ast.Dict(keys=keys, values=values):
                    for key, value in zip(keys, values, strict=True):
                        if isinstance(key, ast.Constant) and attributes(value):
                            keep(str(key.value), value)
                case ast.Assign(
                    targets=[ast.Subscript(slice=ast.Constant(value=str(name)))], value=value
                ):
                    keep(name, value)
    rest: set[str] = set()
    for part in parts:
        for node in ast.walk(part):
            if id(node) not in inside:
                match node:
                    case ast.Attribute(value=ast.Name(id="args"), attr=attr, ctx=ast.Load()):
                        rest.add(attr)
    return fields, rest


def calls(parts: list[ast.AST], start: str) -> Iterator[ast.Call]:
    for part in parts:
        for node in ast.walk(part):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id.startswith(start)
            ):
                yield node


def of_training(package: Package, mode: str) -> set[str]:
    """Return the parameters that a training in a mode reads."""
    known = {"train_mode": mode, "train": True, "test": False}
    run, train = package.function("run"), package.function("train_model")
    assert run
    assert train
    reads = of_run(package, mode, known)
    parts = list(running(train.body, known))
    fields, rest = handed(parts, package)
    trainer = package.function(f"train_{mode}")
    assert trainer is not None
    used = field_reads(package, trainer, {trainer.name})
    for name, sources in fields.items():
        if name in used:
            reads |= sources
    return reads | (rest - {"train_mode"})


def of_run(package: Package, mode: str, known: dict[str, object]) -> set[str]:
    """Return what is read around the training or the test: models, rows, fusing."""
    run = package.function("run")
    assert run is not None
    reads: set[str] = set()
    for part in running(run.body, known):
        reads |= attributes(part)
        for call in ast.walk(part):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
                continue
            if call.func.id in {"load_reference_model", "load_judge_model", "build_lora_config"}:
                inner = package.function(call.func.id, "train.py")
                assert inner is not None
                for piece in running(inner.body, known):
                    reads |= attributes(piece)
    return reads | of_rows(package, mode)


def of_rows(package: Package, mode: str) -> set[str]:
    """Return the parameters that say how a mode's rows are read."""
    create = package.function("create_dataset", "trainer/datasets.py")
    load = package.function("load_dataset", "trainer/datasets.py")
    assert create
    assert load
    names: dict[str, str] = {}
    used: set[str] = set()
    for part in running(create.body, {"train_mode": mode}):
        match part:
            case ast.Module(
                body=[
                    ast.Assign(
                        targets=[ast.Name(id=local)],
                        value=ast.Call(
                            func=ast.Name(id="getattr"), args=[_, ast.Constant(value=name), *_]
                        ),
                    )
                ]
            ):
                names[local] = str(name)
            case _:
                used |= {n.id for n in ast.walk(part) if isinstance(n, ast.Name)}
                used |= {f"config.{one}" for one in attributes(part, "config")}
    reads = {name for local, name in names.items() if local in used}
    reads |= {one.removeprefix("config.") for one in used if one.startswith("config.")}
    for part in running(load.body, {}):
        reads |= attributes(part)
    return reads - {"train_mode"}


def of_test(package: Package, mode: str) -> set[str]:
    """Return the parameters that a test in a mode reads."""
    known = {"train_mode": mode, "train": False, "test": True}
    evaluate = package.function("evaluate_model")
    assert evaluate is not None
    reads = of_run(package, mode, known)
    parts = list(running(evaluate.body, known))
    for call in calls(parts, "evaluate_"):
        assert isinstance(call.func, ast.Name)
        tester = package.function(call.func.id)
        assert tester is not None
        names = {n.id for n in ast.walk(ast.Module(tester.body, [])) if isinstance(n, ast.Name)}
        for one in call.keywords:
            if one.arg == ARGS:  # a record of them, as a trainer gets it
                fields, _ = handed([one.value], package)
                used = field_reads(package, tester, {tester.name})
                for name, sources in fields.items():
                    reads |= sources if name in used else set()
            elif one.arg in names:
                reads |= attributes(one.value)
    for call in calls(parts, "load_reward_functions_from_file"):
        reads |= attributes(call)
    reads |= {n for n in ("reward_functions",) if any(n in attributes(p) for p in parts)}
    return reads


def table(folder: Path) -> Reads:
    """Return, by parameter and mode, whether a training and a test read it."""
    package = Package(folder)
    reads: Reads = {}
    for mode in package.modes():
        for phase, names in (
            ("train", of_training(package, mode)),
            ("test", of_test(package, mode)),
        ):
            for name in names:
                reads.setdefault(name, {}).setdefault(mode, set()).add(phase)
    return reads
