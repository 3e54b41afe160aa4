"""Papers that repeat the nodes' schemas: how a text is shown, what is stale, what is named where it lacks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from devtools import docs
from devtools.docs import BEGIN, CHINESE, CHINESE_TEXTS, END, ENGLISH, HELP, REFERENCE, Node, Slot
from devtools.report import Problem

NODE = Node(
    "M3DDM_Try",
    "M3DDM Try",
    "Tries it.",
    inputs=(
        Slot("size", "INT", "How wide, 8|16.", default=256),
        Slot("loud", "BOOLEAN", "Whether it is heard.", default=False, optional=True),
        Slot("name", "STRING", "What it is called.", default=""),
    ),
    outputs=(Slot("images", "IMAGE", "What came of it."),),
)
TEXTS = {
    "M3DDM_Try": {
        "display_name": "M3DDM 尝试",
        "description": "试一试。",
        "inputs": {
            "size": {"name": "大小", "tooltip": "宽度。"},
            "loud": {"name": "声音", "tooltip": "是否出声。"},
            "name": {"name": "名称", "tooltip": "名字。"},
        },
        "outputs": {"0": {"name": "图像", "tooltip": "结果。"}},
    }
}
PAGES = (REFERENCE, HELP / "M3DDM_Try.md", HELP / "M3DDM_Try" / "zh.md")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A pack with one node, whose pages hold a sentence on each side of their markers."""
    (tmp_path / CHINESE_TEXTS).parent.mkdir(parents=True)
    (tmp_path / CHINESE_TEXTS).write_text(json.dumps(TEXTS), encoding="utf-8")
    for page in PAGES:
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).write_text(f"Before.\n\n{BEGIN}\n{END}\n\nAfter.\n", encoding="utf-8")
    return tmp_path


def write(root: Path, nodes: list[Node]) -> None:
    for file, text in docs.stale(root, nodes).items():
        (root / file).write_text(text, encoding="utf-8")


def test_lists_give_name_type_default_and_meaning() -> None:
    assert docs.lists(NODE, ENGLISH) == (
        "## Inputs\n\n"
        "- `size` INT, `256`\\\n  How wide, 8|16.\n"
        "- `loud` BOOLEAN, `false`, optional\\\n  Whether it is heard.\n"
        "- `name` STRING\\\n  What it is called.\n"
        "\n## Outputs\n\n"
        "- `images` IMAGE\\\n  What came of it.\n"
    )


def test_a_translation_keeps_names_types_and_defaults() -> None:
    (chinese,) = docs.translate([NODE], TEXTS)
    assert chinese.display_name == "M3DDM 尝试"
    inputs = "## 输入\n\n- 大小 `size` INT，`256`\\\n  宽度。\n- 声音 `loud` BOOLEAN，`false`，可选\\\n"
    assert docs.lists(chinese, CHINESE).startswith(inputs)


def test_the_reference_keeps_its_tables_whole() -> None:
    section = docs.reference([NODE])
    assert "| `size` | INT | `256` | How wide, 8\\|16. |\n" in section
    assert "| `loud` | BOOLEAN, optional | `false` | Whether it is heard. |\n" in section
    assert "(../nodes/web/docs/M3DDM_Try/zh.md)" in section


def test_what_is_written_is_not_stale_and_leaves_the_rest_alone(root: Path) -> None:
    assert set(docs.stale(root, [NODE])) == set(PAGES)
    write(root, [NODE])
    assert docs.stale(root, [NODE]) == {}
    for page in PAGES:
        text = (root / page).read_text("utf-8")
        assert text.startswith("Before.\n\n") and text.endswith(f"{END}\n\nAfter.\n")


def test_a_changed_tooltip_makes_its_page_and_the_reference_stale(root: Path) -> None:
    write(root, [NODE])
    changed = replace(NODE, outputs=(replace(NODE.outputs[0], tooltip="Something else."),))
    assert set(docs.stale(root, [changed])) == {REFERENCE, HELP / "M3DDM_Try.md"}


def test_a_hand_between_the_markers_is_undone(root: Path) -> None:
    write(root, [NODE])
    page = root / HELP / "M3DDM_Try.md"
    page.write_text(page.read_text("utf-8").replace("What came of it.", "What I think."), encoding="utf-8")
    assert list(docs.stale(root, [NODE])) == [HELP / "M3DDM_Try.md"]


ONE, OTHER = f"{BEGIN}\n", f"{END}\n"


@pytest.mark.parametrize("text", ["none\n", ONE, OTHER + ONE, ONE + ONE + OTHER, ONE + OTHER + OTHER])
def test_a_page_needs_one_pair_of_markers(text: str, root: Path) -> None:
    (root / HELP / "M3DDM_Try.md").write_text(text, encoding="utf-8")
    with pytest.raises(Problem, match=r"M3DDM_Try\.md: got .*expected one line <!-- generated"):
        docs.stale(root, [NODE])


def test_a_missing_page_is_named(root: Path) -> None:
    (root / HELP / "M3DDM_Try" / "zh.md").unlink()
    with pytest.raises(Problem, match=r"M3DDM_Try/zh\.md: got no such file"):
        docs.stale(root, [NODE])


def test_what_translations_lack_and_have_too_much_is_named_in_one_go(root: Path) -> None:
    chinese, french = (json.loads(json.dumps(TEXTS)) for _ in range(2))
    chinese["M3DDM_Try"]["inputs"]["size"]["tooltip"] = " "
    french["M3DDM_Try"]["inputs"]["gone"] = {"name": "vieux", "tooltip": "Vieux."}
    (root / "locales" / "fr").mkdir()
    for language, texts in (("zh", chinese), ("fr", french)):
        (root / "locales" / language / "nodeDefs.json").write_text(json.dumps(texts), encoding="utf-8")
    with pytest.raises(Problem) as problem:
        docs.stale(root, [NODE])
    assert str(problem.value).splitlines()[1:] == [
        "locales/fr/nodeDefs.json has M3DDM_Try.inputs.gone.name, which no node has",
        "locales/fr/nodeDefs.json has M3DDM_Try.inputs.gone.tooltip, which no node has",
        "locales/zh/nodeDefs.json lacks M3DDM_Try.inputs.size.tooltip",
    ]


def test_a_translation_that_is_no_json_is_named(root: Path) -> None:
    (root / CHINESE_TEXTS).write_text("{,", encoding="utf-8")
    with pytest.raises(Problem, match=r"locales/zh/nodeDefs\.json: got a file that is not JSON \(.*line 1"):
        docs.stale(root, [NODE])


def test_a_node_is_read_from_what_the_host_prints() -> None:
    slot = {"name": "size", "type": "INT", "optional": False, "tooltip": "How wide.", "default": 256}
    image = {"name": "images", "type": "IMAGE", "tooltip": "What came of it."}
    printed = {"id": "A", "display_name": "B", "description": "C", "inputs": [slot], "outputs": [image]}
    node = docs.parse_node(json.loads(json.dumps(printed)))
    assert node.inputs == (Slot("size", "INT", "How wide.", default=256),)
    assert node.outputs == (Slot("images", "IMAGE", "What came of it."),)
