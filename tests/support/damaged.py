"""Runs that somebody damaged, or made up: a generator for property tests."""

import json
import os
import shutil
from pathlib import Path

from hypothesis import strategies as st

OTHER = [
    *(None, True, -1, 0, 2**70, 1e308, "", "x", "../../../victim", "a\x00b", "\ud800", "\x1b[2J"),
    *([], {}, [[]], {"a": {}}, [None, 1], {"": 0}, float("nan"), float("inf")),
]
WAYS = (
    *("gone", "empty", "cut", "other type", "not UTF-8", "deep", "huge", "pipe", "link"),
    *("dangling", "loop", "folder", "device", "digits", "half a key"),
)


@st.composite
def changes(draw, text):
    """Return a JSON text with some of its values replaced, removed, or doubled."""
    said = json.loads(text)
    for _ in range(draw(st.integers(1, 3))):
        holder, key = said, None
        while isinstance(holder, dict | list) and holder:
            key = draw(
                st.sampled_from([*holder] if isinstance(holder, dict) else range(len(holder)))
            )
            inner = holder[key]
            if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
                break
            holder = inner
        if key is None:
            continue
        match draw(st.sampled_from(["value", "remove", "more", "double"])):
            case "value":
                holder[key] = draw(st.sampled_from(OTHER))
            case "remove":
                del holder[key]
            case "more" if isinstance(holder, dict):
                holder[draw(st.sampled_from(["x", "format", "../x", ""]))] = draw(
                    st.sampled_from(OTHER)
                )
            case "double" if isinstance(holder, list):
                holder.append(holder[key])
    return json.dumps(said)


@st.composite
def damages(draw, files, texts):
    """Return what is done to which file of a run: (name, way, text)."""
    name = draw(st.sampled_from(files))
    way = draw(st.sampled_from([*WAYS, *["changed"] * 12]))
    text = texts.get(name, "")
    if way == "changed":
        try:
            return name, "text", draw(changes(text))
        except ValueError:
            way = "cut"
    if way == "cut":
        return name, "text", text[: draw(st.integers(0, max(1, len(text))))]
    return name, way, text


def damage(folder: Path, name: str, way: str, text: str, victim: Path) -> None:
    """Do to a file of a run what was drawn; what a file is replaced by may point at `victim`."""
    path = folder / name
    if not path.parent.is_dir():
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    links = {
        "link": victim,
        "dangling": victim / "nothing" / "there",
        "loop": Path(path.name),
        "device": Path("/dev/zero"),
    }
    contents = {
        "text": text.encode("utf-8", "surrogatepass"),
        "other type": b"[1, 2]",
        "half a key": b'{"stages": [{"na',
        "empty": b"",
        "not UTF-8": b'{"id": "\xff\xfe\x80"}\n' + text.encode()[:40],
        "deep": b"[" * 100_000,
        "digits": b'{"format": ' + b"9" * 5000 + b"}",
        "huge": b"",
    }
    if way in links:
        path.symlink_to(links[way])
    elif way in contents:
        path.write_bytes(contents[way])
    if way == "huge":
        os.truncate(path, 1 << 40)
    elif way == "pipe":
        os.mkfifo(path)
    elif way == "folder":
        path.mkdir()
