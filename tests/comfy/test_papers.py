"""Every node, input and output says what it is; a node's help is headed by its name. What the rest of the papers
repeat of the schemas is generated: the lint tier checks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def schemas(pack: Any) -> list[Any]:
    return [node.GET_SCHEMA() for node in pack.nodes.values()]


def test_everything_has_a_tooltip(schemas: list[Any]) -> None:
    for schema in schemas:
        assert schema.description, schema.node_id
        for slot in [*schema.inputs, *schema.outputs]:
            assert slot.tooltip and slot.tooltip.endswith("."), f"{schema.node_id}: {slot.id or slot.display_name}"


def test_every_node_is_found_under_its_category_and_by_other_words(schemas: list[Any]) -> None:
    for schema in schemas:
        assert schema.category == "M3DDM", schema.node_id
        assert schema.search_aliases, schema.node_id


def test_help_is_headed_by_the_nodes_name(schemas: list[Any]) -> None:
    for schema in schemas:
        assert schema.display_name.startswith("M3DDM ")
        page = ROOT / "nodes" / "web" / "docs" / f"{schema.node_id}.md"
        assert page.read_text("utf-8").partition("\n")[0] == f"# {schema.display_name}"
