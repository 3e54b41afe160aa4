"""What a template shows to be judged is there before the long part of the work, in whatever order the server begins.

A prompt's output nodes are a set to ComfyUI, whose order is another in every process. So its own executor is asked, for
every order, what it would run when.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from itertools import permutations
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from devtools import workflow
from devtools.client import Prompt
from devtools.host import Host
from tests.helpers import stand_ins
from tests.helpers.template_files import EACH

pytestmark = pytest.mark.server

LONG = ("M3DDM_OutpaintVideo", "M3DDM_SampleInterpolation", "SaveVideo")


def known_node(info: dict[str, Any]) -> type:
    """A node's class, as much of it as the executor looks at."""
    found = {
        "OUTPUT_NODE": info["output_node"],
        "FUNCTION": "run",
        "run": lambda self: None,
        "INPUT_TYPES": staticmethod(lambda: info["input"]),
    }
    return type(info["name"], (), found)


@pytest.fixture
def executor(host: Host, object_info: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The host's own, over the nodes that the server knows."""
    nodes = SimpleNamespace(NODE_CLASS_MAPPINGS={name: known_node(info) for name, info in object_info.items()})
    monkeypatch.setitem(sys.modules, "nodes", nodes)
    monkeypatch.syspath_prepend(str(host.path))
    return importlib.import_module("comfy_execution.graph")


async def executed(graph: ModuleType, prompt: Prompt, outputs: tuple[str, ...]) -> list[str]:
    """The nodes of a prompt in the order in which they run, nothing of it being cached."""
    todo = graph.ExecutionList(graph.DynamicPrompt(prompt), SimpleNamespace(get_local=lambda node: None))
    for output in outputs:
        todo.add_node(output)
    order = []
    while not todo.is_empty():
        node, error, _ = await todo.stage_node_execution()
        assert error is None
        order.append(node)
        todo.complete_node_execution()
    return order


@EACH
def test_previews_come_before_the_long_part(template: Path, object_info: dict[str, Any], executor: ModuleType) -> None:
    prompt = workflow.load(template, object_info)
    stand_ins.leave_out_large_models(prompt)
    outputs = [node for node, entry in prompt.items() if object_info[entry["class_type"]]["output_node"]]
    previews = workflow.of_type(prompt, "PreviewImage")
    for some in permutations(outputs) if previews else [outputs]:
        order = asyncio.run(executed(executor, prompt, tuple(some)))
        assert len(order) == len(set(order)) and set(outputs) <= set(order)
        long = [order.index(node) for kind in LONG for node in workflow.of_type(prompt, kind)]
        assert all(order.index(preview) < min(long) for preview in previews), (some, order)
