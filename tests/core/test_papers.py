"""The papers agree with each other: version, dependencies, help pages, translations, README."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest itself brings tomli
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "nodes" / "web" / "docs"
LANGUAGES = ("en", "zh")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def node_texts(language: str) -> dict[str, dict]:
    return json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))


NODE_IDS = sorted(node_texts("en"))


def outline(tree: object) -> object:
    """Return the keys of a tree of dictionaries, without its texts."""
    return {key: outline(value) for key, value in tree.items()} if isinstance(tree, dict) else None


def texts(tree: object) -> list[object]:
    return [text for value in tree.values() for text in texts(value)] if isinstance(tree, dict) else [tree]


def table(page: str) -> set[str]:
    """Return the names in code type of a page's tables: the inputs and outputs it describes."""
    return set(re.findall(r"`(\w+)`", "\n".join(line for line in page.splitlines() if line.startswith("|"))))


def test_the_papers_know_every_node() -> None:
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "nodes").glob("*.py"))
    # Sockets are named in capitals.
    assert set(re.findall(r'"(M3DDM_\w*[a-z]\w*)"', code)) == set(NODE_IDS)


def test_changelog_begins_with_the_version() -> None:
    entries = re.findall(r"^## \[(.+?)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert entries[0] == PROJECT["project"]["version"]


def test_the_version_stands_in_pyproject_alone() -> None:
    for path in [*(ROOT / "m3ddm_core").rglob("*.py"), *(ROOT / "nodes").rglob("*.py"), *ROOT.glob("*.py")]:
        assert not re.search(r"^__version__|^VERSION\b", path.read_text("utf-8"), re.MULTILINE), path.name


def test_requirements_are_the_dependencies() -> None:
    lines = (ROOT / "requirements.txt").read_text("utf-8").split("\n")
    requirements = [line for line in lines if line and not line.startswith("#")]
    assert requirements == PROJECT["project"]["dependencies"]
    assert not [line for line in requirements if re.match(r"torch|opencv|comfy", line) or "==" in line]


def test_the_registry_has_what_it_asks_for() -> None:
    comfy = PROJECT["tool"]["comfy"]
    assert comfy["PublisherId"] and comfy["DisplayName"]
    assert (ROOT / "assets" / comfy["Icon"].rsplit("/", 1)[1]).is_file()
    assert PROJECT["project"]["urls"]["Repository"].startswith("https://")
    for name in PROJECT["project"]["license-files"]:
        assert (ROOT / name).is_file()


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_are_whole(language: str) -> None:
    ours, english = node_texts(language), node_texts("en")
    assert outline(ours) == outline(english)
    assert all(isinstance(text, str) and text.strip() for text in texts(ours))


def test_chinese_is_chinese() -> None:
    for node_id, node in node_texts("zh").items():
        for entry in [*node["inputs"].values(), *node["outputs"].values()]:
            assert all(re.search(r"[一-鿿]", text) for key, text in entry.items() if key == "tooltip"), node_id


@pytest.mark.parametrize("language", LANGUAGES)
def test_sockets_have_names(language: str) -> None:
    main = json.loads((ROOT / "locales" / language / "main.json").read_text(encoding="utf-8"))
    assert set(main["dataTypes"]) == {"M3DDM_STATE", "M3DDM_GLOBAL_FRAMES", "M3DDM_PLACEMENT", "M3DDM_SAMPLING"}


@pytest.mark.parametrize("node_id", NODE_IDS)
@pytest.mark.parametrize("page", ["{}.md", "{}/zh.md"])
def test_help_pages_describe_every_input_and_output(node_id: str, page: str) -> None:
    english = node_texts("en")[node_id]
    names = {name for name in english["inputs"] if name != "control_after_generate"}
    names |= {output["name"] for output in english["outputs"].values()}
    assert names <= table((DOCS / page.format(node_id)).read_text(encoding="utf-8"))


def test_help_pages_are_of_nodes_there_are() -> None:
    assert {path.stem for path in DOCS.glob("*.md")} == set(NODE_IDS)
    assert {path.parent.name for path in DOCS.glob("*/zh.md")} == set(NODE_IDS)


@pytest.mark.parametrize("node_id", NODE_IDS)
def test_readme_describes_every_node(node_id: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(rf"^### [^\n]+\n\n[^\n]*\(`{node_id}`\)\n(.*?)(?=^##)", readme, re.MULTILINE | re.DOTALL)
    assert section, f"no section of {node_id}"
    inputs = set(node_texts("en")[node_id]["inputs"]) - {"control_after_generate"}
    assert inputs <= table(section.group(1))


def test_papers_name_files_that_are_there() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\((?!https?://|#)([^)]+)\)", (ROOT / name).read_text("utf-8")):
            assert (ROOT / link).exists(), f"{name} links to {link}"
