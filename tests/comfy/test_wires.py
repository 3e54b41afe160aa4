"""A value in place of a wire is refused in a line, by every input of every node, before anything runs."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
import torch

LITERALS = [False, True, 0, 5, 0.5, "", "text", {}, {"samples": 1}, {"a": [1, 2]}, "x" * 10_000]
OF_WRONG_KINDS = [None, [], (1,), object(), torch.zeros(3), torch.zeros(1, 4, 4, 3, dtype=torch.uint8), *LITERALS]
TAKES_ANY = {"MASK": lambda value: isinstance(value, torch.Tensor)}
"""What a mask is like is the core's to say."""


def wires(pack: Any) -> list[tuple[str, Any]]:
    """All inputs of all nodes that are no widgets."""
    from comfy_api.latest import io

    found = []
    for name, node in pack.nodes.items():
        found += [(name, entry) for entry in node.GET_SCHEMA().inputs if not isinstance(entry, io.WidgetInput)]
    return found


def validated(pack: Any, node: str, **inputs: Any) -> tuple[bool, list[dict]]:
    """What ComfyUI says of a prompt of one node, before it runs anything."""
    import execution

    asked = {"class_type": node, "inputs": inputs}
    answer = asyncio.run(execution.validate_inputs("prompt", {"1": asked}, "1", {}))
    return answer[0], answer[1]


def test_every_socket_is_looked_at(pack) -> None:
    kinds = {entry.io_type for _, entry in wires(pack)}
    assert kinds == set(pack.module("nodes.host.wires").ACCEPTS)
    assert len(wires(pack)) > 40


def test_a_literal_is_refused_before_anything_runs(pack) -> None:
    for name, entry in wires(pack):
        for literal in LITERALS:
            fine, errors = validated(pack, name, **{entry.id: literal})
            details = " ".join(error["details"] for error in errors)
            assert not fine and f"for the input {entry.id}, expected what a wire of type {entry.io_type}" in details
            assert len(details) < 6000


def test_what_comes_over_a_wire_of_any_type_is_refused_where_it_is_used(pack) -> None:
    for name, entry in wires(pack):
        node = pack.nodes[name]
        parameters = inspect.signature(super(node, node).execute).parameters.values()
        usual = {p.name: None for p in parameters if p.kind is not p.VAR_KEYWORD}
        first = next(other for owner, other in wires(pack) if owner == name)
        for value in OF_WRONG_KINDS:
            if (
                (value is None and entry.optional)
                or entry is not first
                or TAKES_ANY.get(entry.io_type, id)(value) is True
            ):
                continue
            with pytest.raises(ValueError, match=f"for the input {entry.id}, expected what a wire of type") as caught:
                node.execute(**{**usual, entry.id: value})
            assert len(str(caught.value)) < 300


def test_widgets_are_still_looked_at_by_comfyui_and_by_the_node(pack) -> None:
    schema = pack.nodes["M3DDM_EdgeMask"].GET_SCHEMA()
    usual = {entry.id: entry.default for entry in schema.inputs if hasattr(entry, "default")}
    for wrong, kind in (
        ({"left": -1}, "value_smaller_than_min"),
        ({"anchor": "nowhere"}, "value_not_in_list"),
        ({"target": "custom ratio", "custom_ratio": "wide"}, "custom_validation_failed"),
    ):
        _, errors = validated(pack, "M3DDM_EdgeMask", **{**usual, **wrong})
        assert kind in [error["type"] for error in errors], (wrong, errors)
    _, errors = validated(pack, "M3DDM_EdgeMask", **usual)
    assert [error["type"] for error in errors] == ["required_input_missing"], "the frames, and nothing else"
