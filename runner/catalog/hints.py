"""A value and the types its schema allows in, a hint for common YAML mistakes out."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from runner.base.patterns import pattern
from runner.recipe.template.expressions import is_number

_YES = ("yes", "on", "y", "true", "1")
_NO = ("no", "off", "n", "false", "0")
_CURLY = ("\u201c", "\u201d", "\u201e", "\u2018", "\u2019")  # text to YAML
_QUOTES = "".join(_CURLY) + "\"'"
_COMMA = pattern(r"[-+]?\d+,\d+(?:e[-+]?\d+)?")
_THOUSANDS = pattern(r"[-+]?[1-9]\d{0,2},\d{3}")
_UNITS = {"k": 1_000, "K": 1_000, "M": 1_000_000}
_DURATION = pattern(r"(?:\d+(?:\.\d+)?[hms])+")


def of_type(value: Any, types: Sequence[str], path: Sequence[str | int]) -> str:
    """Return how to fix it where a value has the wrong type."""
    if value is None:
        inside = path and isinstance(path[-1], int)
        out = "remove the line: null would be read as 'use the default'"
        return "remove this entry" if inside else out
    if isinstance(value, str):
        return _of_text(value, types, path)
    if isinstance(value, bool):
        return "put it in quotes" if "string" in types else ""
    if isinstance(value, int | float):
        return _of_number(value, types)
    alone = isinstance(value, list) and len(value) == 1 and isinstance(value[0], str | int)
    return f"write {value[0]}, without [ ]" if alone and "string" in types else ""


def of_template(value: Any, types: Sequence[str], template: str) -> str:
    """Return how to fix it where a template made a value of the wrong type."""
    expression = template.strip().removeprefix("{{").removesuffix("}}").strip()
    hint = ""
    if isinstance(value, dict) and value and "object" not in types:
        hint = f"{expression} contains {', '.join(value)}: add .{next(iter(value))}"
    elif isinstance(value, float) and "integer" in types:
        alone = re.fullmatch(r"[\w.]+|\w+\([^()]*\)", expression)
        whole = f"{expression} | int" if alone else f"({expression}) | int"
        divides = "write // to divide whole numbers, or " if "/" in expression else "write "
        hint = f"{divides}{{{{ {whole} }}}}"
    elif isinstance(value, str) and {"integer", "number"} & set(types):
        hint = _of_text_for_number(value, template)
    elif value is None:
        hint = "it is null where it is set: give it a value there"
    return hint


def _of_text_for_number(value: str, template: str) -> str:
    name = re.search(r"env\(\s*['\"](\w+)['\"]\s*\)", template)
    if name:
        return f"use a number as the default of env: env('{name[1]}', 1)"
    if template[:1] in _CURLY:
        return f"{template[0]} is not a quote in YAML: write '{template.strip(_QUOTES)}'"
    if template != template.strip() or not (template.startswith("{{") and template.endswith("}}")):
        return "put nothing next to the {{ }}, not even a space"
    hint = _of_digits(value.strip())
    return f"where it is set, {hint}" if hint else ""


def unread(name: str, properties: Mapping[str, Any], selection: object = None) -> str:
    """Return where a key belongs that is next to the mapping it should be in."""
    homes = [
        home
        for home, child in properties.items()
        if isinstance(child, dict) and name in child.get("properties", ())
    ]
    home = selection if selection in homes else homes[0] if len(homes) == 1 else None
    return f"write {home}: {{{name}: …}}" if home else ""


def quotient(schema: Mapping[str, Any], name: str, beside: Any) -> tuple[str, float] | None:
    """Return the key, and its value, that a key of other libraries says by another beside it."""
    rule = schema.get("x-quotient", {}).get(name)
    if rule is None or not isinstance(beside, Mapping) or rule["is"] in beside:
        return None
    whole, part = beside.get(name), beside.get(rule["by"])
    if type(whole) not in {int, float} or type(part) not in {int, float} or not part:
        return None
    return rule["is"], whole / part


def _of_number(value: float, types: Sequence[str]) -> str:
    if "boolean" in types and value in {0, 1}:
        return f"write {'true' if value else 'false'}"
    if isinstance(value, float) and "integer" in types and value.is_integer():
        return f"write {int(value)}"
    return "put it in quotes" if "string" in types else ""


def _of_text(text: str, types: Sequence[str], path: Sequence[str | int]) -> str:
    word = text.strip().casefold()
    if "boolean" in types and word in (*_YES, *_NO):
        return f"write {'true' if word in _YES else 'false'}, without quotes"
    if {"integer", "number"} & set(types):
        return _of_digits(text.strip())
    if "array" in types and text.strip() and "{{" not in text:
        return f"put it in [ ]: {path[-1] if path else 'NAME'}: [{text}]"
    return ""


def _of_digits(text: str) -> str:
    """Return the number that a text was meant to be; 5m is a time in a recipe, and no number."""
    if _DURATION.fullmatch(text):
        return "this is a number, not a duration: write digits only"
    return _of_unit(text.strip(_QUOTES).replace(",", "")) or _of_word(text.casefold())


def _of_unit(text: str) -> str:
    unit = re.fullmatch(r"(\d+(?:\.\d+)?)([kKM])", text)
    return f"write {float(unit[1]) * _UNITS[unit[2]]:.0f}" if unit else ""


def _of_word(word: str) -> str:
    word = word.strip(_QUOTES) if _COMMA.fullmatch(word.strip(_QUOTES)) else word
    if _COMMA.fullmatch(word) and not _THOUSANDS.fullmatch(word):
        return f"write {word.replace(',', '.')}, with a point"
    plain = word.strip(_QUOTES).replace("_", "").replace(",", "")
    if is_number(plain) and not plain.strip("+-").startswith(("n", "i")):
        how = "without quotes" if plain == word else "digits only"
        return f"write {plain}, {how if word == word.strip(_QUOTES) else 'without these quotes'}"
    if plain.endswith("%") and is_number(plain[:-1]):
        return f"write {float(plain[:-1]) / 100:g}"
    if re.fullmatch(r"\d+(:\d+)+", plain):
        return "YAML 1.2 has no numbers with colons"
    if re.fullmatch(r"0b[01]+", plain):
        plain = str(int(plain, 2))
    date = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", plain)
    plain = "".join(date.groups()) if date else plain
    return f"write {plain}" if plain.isascii() and plain.isdigit() else ""
