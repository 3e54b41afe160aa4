"""What the schemas say and what the papers say is the same: names, tooltips, translations, help pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("en", "zh")


def described(nodes: dict[str, Any]) -> dict[str, dict]:
    """Map node id to what its schema says, in the form of the frontend's ``nodeDefs.json``."""
    found = {}
    for node_id, node in nodes.items():
        schema = node.GET_SCHEMA()
        inputs = {
            entry.id: {"name": entry.display_name or entry.id, "tooltip": entry.tooltip} for entry in schema.inputs
        }
        if any(getattr(entry, "control_after_generate", None) for entry in schema.inputs):
            # The frontend adds this widget, and looks for its name among the node's inputs.
            inputs["control_after_generate"] = {"name": "control after generate"}
        found[node_id] = {
            "display_name": schema.display_name,
            "description": schema.description,
            "inputs": inputs,
            "outputs": {
                str(number): {"name": output.display_name or output.get_io_type(), "tooltip": output.tooltip}
                for number, output in enumerate(schema.outputs)
            },
        }
    return found


def outline(tree: object) -> object:
    return {key: outline(value) for key, value in tree.items()} if isinstance(tree, dict) else None


@pytest.fixture(scope="module")
def schemas(pack: Any) -> dict[str, dict]:
    return described(pack.nodes)


def translation(language: str) -> dict[str, dict]:
    return json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))


def test_everything_has_a_tooltip(schemas: dict[str, dict]) -> None:
    for node_id, node in schemas.items():
        assert node["display_name"].startswith("M3DDM "), node_id
        assert node["description"], node_id
        for kind in ("inputs", "outputs"):
            for name, entry in node[kind].items():
                assert entry.get("tooltip") or name == "control_after_generate", f"{node_id}: {kind} {name}"


def test_english_is_what_the_schemas_say(schemas: dict[str, dict]) -> None:
    assert translation("en") == schemas


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_cover_every_input_and_output(schemas: dict[str, dict], language: str) -> None:
    assert outline(translation(language)) == outline(schemas)


def test_every_node_has_a_help_page_and_a_search_alias(pack: Any) -> None:
    for node_id, node in pack.nodes.items():
        assert (ROOT / "nodes" / "web" / "docs" / f"{node_id}.md").is_file(), node_id
        schema = node.GET_SCHEMA()
        assert schema.search_aliases, node_id
        assert schema.category == "M3DDM", node_id
