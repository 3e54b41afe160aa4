"""A workflow as the frontend saves it -> a prompt as the server takes it, with the help of ``/object_info``.

The same as the frontend does when one presses Run: widget values are named by the node's definition, links are
followed through reroutes, primitives and bypassed nodes, muted nodes and notes are left out. Subgraphs are not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .client import Prompt
from .report import Problem

_NOT_RUN = frozenset({"Note", "MarkdownNote", "Reroute", "PrimitiveNode"})
_WIDGET_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR", "COMFY_DYNAMICCOMBO_V3"})
_MUTED, _BYPASSED = 2, 4


def load(file: Path, object_info: dict[str, Any]) -> Prompt:
    """The prompt of a workflow file; raises `Problem` with the file's name where it cannot be read."""
    try:
        return to_prompt(json.loads(file.read_text(encoding="utf-8")), object_info)
    except (ValueError, KeyError, Problem) as error:
        raise Problem(f"{file.name}: {error}") from error


def to_prompt(workflow: dict[str, Any], object_info: dict[str, Any]) -> Prompt:
    """The prompt of a workflow; raises `Problem` where it holds a node that ``object_info`` does not know."""
    nodes = {node["id"]: node for node in workflow["nodes"]}
    links = {link["id"]: (link["origin_id"], link["origin_slot"]) for link in _links(workflow)}
    prompt: Prompt = {}
    for node in sorted(workflow["nodes"], key=lambda node: node.get("order", 0)):
        kind = node["type"]
        if kind in _NOT_RUN or node.get("mode", 0) in (_MUTED, _BYPASSED):
            continue
        if kind not in object_info:
            raise Problem(
                f"got the node {kind!r} (number {node['id']} of the workflow), expected one that the server has"
            )
        inputs = widget_values(node, object_info[kind])
        for slot in node.get("inputs", []):
            value = _follow(slot.get("link"), nodes, links)
            if value is not None:
                inputs[slot["name"]] = value[0] if len(value) == 1 else [str(value[0]), value[1]]
        title = node.get("title") or object_info[kind].get("display_name") or kind
        prompt[str(node["id"])] = {"class_type": kind, "inputs": inputs, "_meta": {"title": title}}
    return prompt


def widget_values(node: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """The values of a node's widgets by name.

    Those that a shorter, older list lacks get the definition's default, or what they mean where they are absent, as
    nodes/web/if_absent.js sees to in the frontend.
    """
    stored = node.get("widgets_values") or []
    if isinstance(stored, dict):
        return {name: stored[name] for name, _, _ in _widgets(info, stored) if name in stored}
    values: dict[str, Any] = {}
    queue = list(stored)
    for name, spec, extra in _widgets(info, values):
        if name is None:  # a button or the like: it has a place in the list and no input
            del queue[:1]
            continue
        if queue:
            values[name] = queue.pop(0)
        elif stored and "if_absent" in _options(spec):
            values[name] = _options(spec)["if_absent"]
        elif _default(spec) is not None:
            values[name] = _default(spec)
        if extra:
            del queue[:1]
    return values


def _widgets(info: dict[str, Any], values: dict[str, Any]) -> Iterator[tuple[str | None, Any, bool]]:
    """``(name, specification, whether a control follows it)`` of each widget in the order the frontend keeps.

    What a dynamic combo shows depends on its value, so ``values`` is read as far as the caller has filled it.
    """
    for group in ("required", "optional"):
        definitions = info["input"].get(group, {})
        names = info.get("input_order", {}).get(group, list(definitions))
        for name in names:
            yield from _widget(name, definitions[name], values)
        if any(_options(spec).get(key) for spec in definitions.values() for key in ("image_upload", "video_upload")):
            yield None, None, False


def _widget(name: str, spec: Any, values: dict[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    kind, options = spec[0], _options(spec)
    if options.get("forceInput") or not (isinstance(kind, list) or kind in _WIDGET_TYPES):
        return
    control = options.get("control_after_generate", kind == "INT" and name in ("seed", "noise_seed"))
    yield name, spec, bool(control)
    if kind == "COMFY_DYNAMICCOMBO_V3":
        chosen = next((o for o in options["options"] if o["key"] == values.get(name)), {"inputs": {}})
        for group in ("required", "optional"):
            for below, definition in chosen["inputs"].get(group, {}).items():
                yield from _widget(f"{name}.{below}", definition, values)


def _options(spec: Any) -> dict[str, Any]:
    return spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}


def _default(spec: Any) -> Any:
    """The value that a widget has on a new node."""
    kind, options = spec[0], _options(spec)
    if "default" in options:
        return options["default"]
    choices = kind if isinstance(kind, list) else options.get("options") or []
    if choices:
        return choices[0]["key"] if isinstance(choices[0], dict) else choices[0]
    return {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False}.get(kind if isinstance(kind, str) else "")


def _links(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The links as objects; the older form is a list."""
    for link in workflow.get("links", []):
        if isinstance(link, dict):
            yield link
        else:
            yield {"id": link[0], "origin_id": link[1], "origin_slot": link[2]}


def _follow(link: int | None, nodes: dict[Any, Any], links: dict[int, tuple[Any, int]]) -> tuple[Any, ...] | None:
    """``(node id, slot)`` that a link really comes from, ``(value,)`` for a primitive's, None for nothing."""
    while link is not None and link in links:
        origin, slot = links[link]
        node = nodes[origin]
        if node["type"] == "PrimitiveNode":
            return (node["widgets_values"][0],)
        if node["type"] == "Reroute":
            link = node["inputs"][0].get("link")
        elif node.get("mode", 0) == _BYPASSED:
            link = _bypass(node, slot)
        elif node.get("mode", 0) == _MUTED:
            return None
        else:
            return (origin, slot)
    return None


def _bypass(node: dict[str, Any], slot: int) -> int | None:
    """The link into a bypassed node that stands in for its output: the input at the same place if its type fits, else
    the first that fits."""
    kind = node["outputs"][slot]["type"]
    inputs = node.get("inputs", [])
    for candidate in [*inputs[slot : slot + 1], *inputs]:
        if candidate["type"] == kind or "*" in (candidate["type"], kind):
            return candidate.get("link")
    return None


def of_type(prompt: Prompt, class_type: str) -> list[str]:
    """The ids of a prompt's nodes of one type."""
    return [node for node, entry in prompt.items() if entry["class_type"] == class_type]


def set_inputs(prompt: Prompt, class_type: str, **inputs: Any) -> None:
    """Set inputs on every node of one type; raises `Problem` where the prompt has none."""
    found = of_type(prompt, class_type)
    if not found:
        raise Problem(f"got a workflow without a node {class_type}, expected one to set {', '.join(inputs)} on")
    for node in found:
        prompt[node]["inputs"].update(inputs)


def replace(prompt: Prompt, class_type: str, other: str, **inputs: Any) -> None:
    """Put another type of node, with these inputs alone, in the place of every one of a type, whose links it keeps."""
    set_inputs(prompt, class_type)
    for node in of_type(prompt, class_type):
        prompt[node] |= {"class_type": other, "inputs": dict(inputs)}
