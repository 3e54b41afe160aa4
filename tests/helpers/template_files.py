"""The templates as their tests go through them: by title, as files, and as what a server knows of their nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from devtools import templates

IDS = [templates.title(file) for file in templates.TEMPLATES]
EACH = pytest.mark.parametrize("template", templates.TEMPLATES, ids=IDS)
TRY = "1 Try it now"
OTHERS = [template for template in templates.TEMPLATES if templates.title(template) != TRY]
EACH_OTHER = pytest.mark.parametrize("template", OTHERS, ids=[templates.title(template) for template in OTHERS])
# What opens as a form.
APPS = ("Outpaint a video", "Phone to wide", "Remove a logo or bars", "Stabilised footage")
NOTES = {"MarkdownNote", "Note"}
CLIP = templates.INPUTS[0]


def load(template: Path) -> dict[str, Any]:
    return json.loads(template.read_text(encoding="utf-8"))


def by_type(graph: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """A graph's nodes by their type."""
    found: dict[str, list[dict[str, Any]]] = {}
    for node in graph["nodes"]:
        found.setdefault(node["type"], []).append(node)
    return found


def definitions(info: dict[str, Any]) -> dict[str, Any]:
    """All inputs of a node's definition by name."""
    return {**info["input"].get("required", {}), **info["input"].get("optional", {})}


def choices(spec: Any) -> list[str] | None:
    """What a combo offers; None for other inputs."""
    if isinstance(spec[0], list):
        return spec[0]
    options = spec[1].get("options") if len(spec) > 1 else None
    return None if options is None else [o["key"] if isinstance(o, dict) else o for o in options]


def stored(info: dict[str, Any]) -> int:
    """How many widget values the frontend keeps of a node: one an input that is not a socket, one for what follows a
    seed, one for an upload button."""
    kinds = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3"}
    specs = [(spec[0], spec[1] if len(spec) > 1 else {}) for spec in definitions(info).values()]
    options = [
        given for kind, given in specs if (isinstance(kind, list) or kind in kinds) and "forceInput" not in given
    ]
    extra = ("control_after_generate", "image_upload", "video_upload")
    return len(options) + sum(any(given.get(key) for key in extra) for given in options)
