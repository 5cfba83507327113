"""hub.publish: uploads a model or an adapter with a card that says how it was made.

It uploads only the files that belong to the model or adapter, in one commit with the card, and then
checks that the hub has them. By default it only writes the card and shows what it would upload:
docs/publishing.md.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from runner.base import secrets
from runner.base.constants import RUN_DIR
from runner.base.errors import Exit, ToolError
from runner.base.problems import plural
from runner.catalog import load
from runner.data.refusals import Precheck
from runner.plan.hub_names import bare
from runner.report import gather
from runner.runs import history
from runner.system import files as disk
from runner.system import printer, reader
from runner.tools.publish.card import CardFields, card
from runner.tools.publish.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runner.report.report import Report

CARD = "README.md"
RECORD = "publish.json"
LICENSES = ("LICENSE*", "LICENCE*", "COPYING*", "NOTICE*", "Notice*", "USE_POLICY*")
MODEL = (
    "*.safetensors", "*.gguf", "*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja", "*.py",
    *LICENSES,
)  # fmt: skip
ADAPTER = ("adapters.safetensors", "adapter_config.json", *LICENSES)
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+\Z")
TEXTS = (".json", ".txt", ".jinja", ".py", ".md", "")


class Parcel(Struct, frozen=True, kw_only=True):
    """What a folder gives to upload, by its name there, and what it keeps, with the reason."""

    kind: str
    files: Mapping[str, Path]
    omissions: Mapping[str, str]

    @property
    def bytes(self) -> int:
        """How large it is."""
        return sum(path.stat().st_size for path in self.files.values())


def pack(folder: Path) -> Parcel:
    """Return what of a folder is published. Raises ToolError if it is no model or adapter."""
    if not folder.is_dir():
        raise ToolError(f"there is no folder {folder}")
    names = {entry.name for entry in folder.iterdir()}
    adapter = "adapter_config.json" in names
    kind = "adapter" if adapter else "model"
    patterns: Sequence[str] = ADAPTER if adapter else MODEL
    weights = "adapters.safetensors" if adapter else "*.safetensors"
    if not adapter and "config.json" not in names:
        raise ToolError(f"{folder} is neither a model (config.json) nor an adapter")
    files: dict[str, Path] = {}
    omissions: dict[str, str] = {}
    for entry in sorted(folder.iterdir()):
        why = _why_left_out(entry, kind, patterns)
        if why:
            omissions[entry.name] = why
        else:
            files[entry.name] = entry
    if not fnmatch.filter(files, weights):
        raise ToolError(f"{folder} has no {weights}: its weights are missing")
    return Parcel(kind=kind, files=files, omissions=omissions)


def _why_left_out(entry: Path, kind: str, patterns: Sequence[str]) -> str:
    """Return why something of a folder is not published, '' if it is."""
    name = entry.name
    reasons = {
        "the model card replaces it": name == CARD,
        "hidden": name.startswith("."),
        "a folder": entry.is_dir(),
        "no file": not entry.is_file(),
        "a checkpoint": kind == "adapter" and name.endswith("_adapters.safetensors"),
        f"no part of {'an adapter' if kind == 'adapter' else 'a model'}": not any(
            fnmatch.fnmatchcase(name, one) for one in patterns
        ),
    }
    return next((why for why, holds in reasons.items() if holds), "")


def refuse_secrets(files: Mapping[str, Path], text: str) -> None:
    """Raise ToolError if a text that would be published holds a secret, or what looks like one.

    A secret is also what a variable of this process's environment holds whose name says so.
    """
    mask = secrets.Mask(secrets.values(os.environ))
    for name, path in files.items():
        if path.suffix in TEXTS or name.startswith(("LICENSE", "NOTICE")):
            with reader.open_file(path) as stream:
                for number, line in enumerate(stream, 1):
                    _refuse_secret(line, f"{path}:{number}", mask)
    for number, row in enumerate(text.encode().splitlines(), 1):
        _refuse_secret(row, f"{CARD}:{number}", mask)


def _refuse_secret(line: bytes, place: str, mask: secrets.Mask) -> None:
    start = secrets.looks_like_one(line)
    if start:
        raise ToolError(f"{place}: '{start}…' looks like a secret; nothing is uploaded. Remove it")
    if mask.finds(line.decode("utf-8", "replace")):
        raise ToolError(f"{place}: contains a secret from the environment; nothing is uploaded")


def run_of(path: Path, run: Path | None) -> Report | None:
    """Return the report of the run that made a folder: the one it lies in, unless one is said."""
    if run is not None:
        return gather.gather(history.find(run.parent, str(run)))
    for folder in path.resolve().parents:
        manifest = history.read(folder) if (folder / "run.json").is_file() else None
        if manifest is not None:
            return gather.gather(manifest)
    return None


def base_of(folder: Path, report: Report | None) -> str | None:
    """Return the hub id of the model that a run or an adapter started from, if there is one."""
    config = disk.read_json(folder / "adapter_config.json") or {}
    candidates = [config.get("model")]
    plan = report.manifest.plan if report else None
    for stage in plan.stages if plan else ():
        tool = load.catalog(plan.tools if plan else {}).get(stage.tool)
        for name, parameter in (tool.parameters if tool else {}).items():
            if parameter.input_kind(stage.params) == "model":
                candidates.append(stage.params[name])
    names = (bare(one) for one in candidates if isinstance(one, str))
    return next((one for one in names if is_hub_id(one)), None)


def is_hub_id(text: str) -> bool:
    """Return whether a text is OWNER/NAME and no path of this disk."""
    return bool(HUB_ID.match(text)) and RUN_DIR not in text and not Path(text).exists()


def publish(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the card, upload where that is wanted, and return what publish.json holds."""
    parcel, report, files = prepare(**vars(arguments))
    fields = _card_fields(arguments, parcel, report)
    text = card(fields, report, _places(report))
    refuse_secrets({}, text)
    arguments.out.mkdir(parents=True, exist_ok=True)
    disk.write(arguments.out / CARD, text)
    files[CARD] = arguments.out / CARD
    _show(arguments, Parcel(kind=parcel.kind, files=files, omissions=parcel.omissions))
    record: dict[str, Any] = {
        "tool": "hub.publish",
        "repo_id": arguments.repo_id,
        "private": arguments.private,
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files.values()),
        "uploaded": 0,
    }
    if not arguments.dry_run:
        repository = Repository(arguments.repo_id, arguments.revision, private=arguments.private)
        repository.open()
        repository.make_room(files, replace=arguments.replace)
        record["commit"] = repository.upload(files, arguments.commit_message)
        record["uploaded"] = 1
    disk.write(arguments.out / RECORD, json.dumps(record, indent=2) + "\n")
    return record


def prepare(
    *,
    path: Path,
    run: Path | None,
    license_file: Path | None,
    dry_run: bool,
    **_: object,
) -> tuple[Parcel, Report | None, dict[str, Path]]:
    """Return what a folder gives, the run that made it, and the files that are uploaded.

    Raises ToolError if they are none, hold secrets, or are not worth an upload.
    """
    parcel, report = pack(path), run_of(path, run)
    if report is not None and report.manifest.plan.smoke and not dry_run:
        raise ToolError("a smoke run's weights are close to random: they are not uploaded", "path")
    files = dict(parcel.files)
    if license_file is not None:
        files["LICENSE"] = license_file
    refuse_secrets(files, "")
    return parcel, report, files


def _card_fields(
    arguments: argparse.Namespace, parcel: Parcel, report: Report | None
) -> CardFields:
    config = disk.read_json(arguments.path / "config.json") or {}
    return CardFields(
        repo_id=arguments.repo_id,
        kind=parcel.kind,
        license=arguments.license,
        license_name=arguments.license_name,
        license_link=arguments.license_link or ("LICENSE" if arguments.license_file else None),
        base_model=arguments.base_model or base_of(arguments.path, report),
        language=tuple(arguments.language),
        datasets=tuple(arguments.dataset),
        tags=tuple(arguments.tag),
        description=arguments.description or "",
        quantized="quantization" in config,
    )


def _places(report: Report | None) -> dict[str, str]:
    """Return what is said on a card in place of this machine's folders."""
    home, here = str(Path.home()), str(Path.cwd())
    places = {here: ".", f"{here}/": "", home: "~"}
    if report is not None:
        folder = report.manifest.folder
        places |= {folder: RUN_DIR, str(Path(folder).resolve()): RUN_DIR}
    return {path: short for path, short in places.items() if len(path) > 1}


def _show(arguments: argparse.Namespace, parcel: Parcel) -> None:
    kind = "a private" if arguments.private else "a PUBLIC"
    where = f", branch {arguments.revision}" if arguments.revision else ""
    lines = [f"{arguments.repo_id}: {kind} repository{where}, licence {arguments.license}"]
    width = max(map(len, (*parcel.files, *parcel.omissions)))
    for name, path in sorted(parcel.files.items()):
        lines.append(f"  {name:{width}}  {_size(path.stat().st_size)}")
    lines += [f"  {name:{width}}  left out: {why}" for name, why in parcel.omissions.items()]
    lines.append(f"{plural(len(parcel.files), 'file')}, {_size(parcel.bytes)}")
    printer.show("\n".join(lines))


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:  # noqa: PLR2004 - the next unit
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="run-recipe hub publish",
        description="Upload a model or adapter with a model card.",
        allow_abbrev=False,
    )
    add, switch = parser.add_argument, argparse.BooleanOptionalAction
    add("--path", type=Path, required=True, metavar="DIR", help="the model or adapter")
    add("--repo-id", type=_hub_id, required=True, metavar="OWNER/NAME", help="the repository")
    add("--license", required=True, metavar="ID", help="the licence by its hub id, or other")
    add("--license-name", metavar="NAME", help="the name of another licence")
    add("--license-link", metavar="URL", help="the address of another licence")
    add("--license-file", type=Path, metavar="FILE", help="the licence text, uploaded as LICENSE")
    add("--base-model", type=_hub_id, metavar="ID", help="the base model [from the run]")
    add("--description", metavar="TEXT", help="start of the card [the recipe's description]")
    add("--language", action="append", default=[], metavar="CODE", help="such as en (repeatable)")
    add("--dataset", action="append", default=[], metavar="ID", help="a hub data set (repeatable)")
    add("--tag", action="append", default=[], metavar="TAG", help="another tag (repeatable)")
    add("--private", action=switch, default=True, help="a private repository")
    add("--revision", metavar="BRANCH", help="the branch [the main one]")
    add("--commit-message", metavar="TEXT", default="Publish with run-recipe", help="commit title")
    add("--replace", action=switch, default=False, help="delete other weights from the repository")
    add("--dry-run", action=switch, default=True, help="only show what would be uploaded")
    add("--run", type=Path, metavar="DIR", help="its run [the one that contains it]")
    add("--out", type=Path, required=True, metavar="DIR", help="the folder of the card")
    return parser


AHEAD = Precheck(parser=parser, prepare=prepare)


def _hub_id(text: str) -> str:
    if not HUB_ID.match(text):
        raise argparse.ArgumentTypeError(f"{text} is not OWNER/NAME")
    return text


def main(argv: Sequence[str] | None = None) -> None:
    """Publish what the command line names."""
    arguments = parser().parse_args(argv)
    try:
        record = publish(arguments)
    except (OSError, ToolError) as error:
        # The hub's errors are OSErrors whose names say more than their words.
        name = f"{type(error).__name__}: " if isinstance(error, OSError) else ""
        printer.say(f"error: {name}{error}")
        raise SystemExit(Exit.STAGE_FAILED) from error
    printer.show("\n".join(_summary(arguments, record)))


def _summary(arguments: argparse.Namespace, record: Mapping[str, Any]) -> Iterator[str]:
    if record["uploaded"]:
        yield f"uploaded to {arguments.repo_id} as commit {record['commit']}"
    else:
        yield (
            "dry run: nothing was uploaded; to upload, use --no-dry-run, or dry_run: false in a "
            "recipe"
        )
    yield f"the card: {arguments.out.name}/{CARD}"


if __name__ == "__main__":
    main()
