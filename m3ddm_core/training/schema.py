"""Configurations as dataclasses: bounds beside the fields, TOML files checked against them.

Everything wrong with a file is told at once: a run that takes days should not fail four times before it starts.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import MISSING, asdict, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints


class ConfigError(ValueError):
    """A configuration file with everything that is wrong with it, one problem a line."""


def number(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def choice(default: str, *choices: str) -> Any:
    return field(default=default, metadata={"choices": choices})


class Sections:
    """What every configuration can do: a frozen dataclass of sections and the ``folder`` that its file lies in."""

    folder: str

    def path(self, name: str) -> Path:
        """Return a path of the file, relative to its folder, as seen from here."""
        return Path(self.folder) / os.path.expanduser(name)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return the sections as plain values, tuples as lists: what JSON gives back unchanged."""
        sections = {name: section for name, section in asdict(self).items() if name != "folder"}
        return {
            name: {key: list(value) if isinstance(value, tuple) else value for key, value in section.items()}
            for name, section in sections.items()
        }


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a TOML file. Raises `ConfigError` for what is none, ``OSError`` as the system does."""
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: got a file that is not TOML: {error}") from None


def parse_sections(
    kind: type[Any],
    content: dict[str, Any],
    contradictions: Callable[[Any], list[str]],
    *,
    folder: str = ".",
    name: str = "configuration",
) -> Any:
    """Check sections against a dataclass of dataclasses, ``folder`` among its fields, and return it filled in.

    ``contradictions`` names what is wrong between keys that are right each by itself. Raises `ConfigError`.
    """
    problems: list[str] = []
    hints = get_type_hints(kind)
    kinds = {f.name: hints[f.name] for f in fields(kind) if f.name != "folder"}
    for section in content:
        if section not in kinds:
            problems.append(f"[{section}]: no such section{_meant(section, kinds)}")
    sections = {}
    for section, its_kind in kinds.items():
        given = content.get(section, {})
        if not isinstance(given, dict):
            problems.append(f"{section}: got {given!r}, expected a section [{section}]")
            continue
        sections[section] = _read_section(section, its_kind, given, problems)
    config = None
    if all(sections.get(section) is not None for section in kinds):
        config = kind(**sections, folder=folder)
        problems += contradictions(config)
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise ConfigError(f"{name}: got {len(problems)} problem{'s' * (len(problems) > 1)}, expected none\n{lines}")
    return config


def _read_section(section: str, kind: type, given: dict[str, Any], problems: list[str]) -> Any:
    """Return the section, or None where something is wrong with it; what is wrong is added to ``problems``."""
    known = {f.name: f for f in fields(kind)}
    hints = get_type_hints(kind)
    found = len(problems)
    for key in given:
        if key not in known:
            problems.append(f"{section}.{key}: no such key{_meant(key, known)}")
    values = {}
    for key, entry in known.items():
        if key in given:
            wrong = _wrong(given[key], hints[key], entry.metadata)
            if wrong:
                problems.append(f"{section}.{key}: got {given[key]!r}, expected {wrong}")
            values[key] = _convert(given[key], hints[key]) if not wrong else None
        elif entry.default is MISSING:
            problems.append(f"{section}.{key}: missing")
    return kind(**values) if len(problems) == found else None


def _wrong(value: Any, hint: Any, rules: Any) -> str:
    """Return what was expected, or nothing where the value is all right."""
    if get_origin(hint) is tuple:
        length, inner = rules.get("length"), get_args(hint)[0]
        expected = f"a list of {length if length else 'one or more'} values"
        if not isinstance(value, list) or not value or (length and len(value) != length):
            return expected
        return next((f"a list, each {wrong}" for item in value if (wrong := _wrong(item, inner, rules))), "")
    if hint is float:
        right = isinstance(value, (int, float)) and not isinstance(value, bool)
    else:
        right = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
    if "choices" in rules:
        return "" if right and value in rules["choices"] else f"one of {', '.join(map(repr, rules['choices']))}"
    name = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}[hint]
    if "low" in rules:
        low, high = rules["low"], rules["high"]
        return "" if right and low <= value <= high else f"{name} from {low:g} to {high:g}"
    return "" if right else name


def _convert(value: Any, hint: Any) -> Any:
    if get_origin(hint) is tuple:
        return tuple(_convert(item, get_args(hint)[0]) for item in value)
    return hint(value)


def _meant(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"
