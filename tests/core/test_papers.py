"""The papers agree with each other: version, name, dependencies, translations, links, what is said of the weights.

That they agree with the nodes' schemas is for `python run.py docs --check`, which the lint tier asks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devtools.host import PACK_NAME

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest itself brings tomli
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
HELP = ROOT / "nodes" / "web" / "docs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CHINESE = json.loads((ROOT / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))
LANGUAGES = ["es", "fr", "ja", "ko", "ru", "zh", "zh-TW"]
"""Those beside English that ComfyUI's frontend speaks, and this pack."""
SCRIPTS = {"ja": "[ぁ-ヿ]", "ko": "[가-힣]", "ru": "[а-я]", "zh": "[一-鿿]", "zh-TW": "[一-鿿]"}
WORKFLOWS = [*sorted((ROOT / "example_workflows").glob("*.json")), *sorted((ROOT / "subgraphs").glob("*.json"))]
TEMPLATES = [file for file in WORKFLOWS if file.parent.name == "example_workflows"]
READ_ON = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
"""What the registry's package carries, and so may link only to what is in it."""
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
OTHERS = [ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md", ROOT / "recipes" / "README.md"]

ACCELERATORS = {"NVIDIA CUDA", "AMD ROCm", "Intel Arc", "Apple Metal"}
"""GPUs that the registry has a classifier for, and ComfyUI runs on."""


def names(files: list[Path]) -> list[str]:
    return [file.relative_to(ROOT).as_posix() for file in files]


def dictionaries(tree: object) -> Iterator[dict[str, Any]]:
    """Every dictionary in a tree of dictionaries and lists."""
    if isinstance(tree, dict):
        yield tree
    for below in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from dictionaries(below)


def links(file: Path) -> list[Path]:
    """Where a paper's relative links lead, as paths from the pack's root."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", file.read_text("utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\((?!https?://|#)([^)#\s]+)[^)]*\)", text)
    return [(file.parent / target).resolve().relative_to(ROOT) for target in targets]


def left_out(path: Path) -> bool:
    """Whether the registry's package goes without a path: .comfyignore holds nothing but top folders."""
    folders = (ROOT / ".comfyignore").read_text("utf-8").splitlines()
    return f"{path.parts[0]}/" in folders


def paragraph(file: Path, start: str) -> str:
    """The paragraph of a paper that begins with ``start``, without it and without its line breaks."""
    (found,) = re.findall(rf"^{re.escape(start)}\s*(.*?)(?=\n\n|\Z)", file.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return " ".join(found.split())


def parts(page: Path) -> list[str]:
    """What a page is made of, part by part: the kind, and of a list how many entries it has."""
    kinds = {"heading": r"#+ ", "picture": r"!\[", "code": r"```", "marker": r"<!--", "list": r"- |\d+\. "}
    found = []
    for part in page.read_text("utf-8").strip().split("\n\n"):
        kind = next((kind for kind, start in kinds.items() if re.match(start, part)), "paragraph")
        entries = len(re.findall(rf"^(?:{kinds['list']})", part, re.MULTILINE))
        found.append(f"list of {entries}" if kind == "list" else kind)
    return found


def notes(template: Path) -> str:
    """All that a template's notes say, without line breaks."""
    graph = json.loads(template.read_text("utf-8"))
    return " ".join(" ".join(node["widgets_values"][0].split()) for node in graph["nodes"] if "Note" in node["type"])


def test_changelog_begins_with_the_version() -> None:
    entries = re.findall(r"^## \[(.+?)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert entries[0] == PROJECT["project"]["version"]


def test_the_version_stands_in_pyproject_alone() -> None:
    for path in [*(ROOT / "m3ddm_core").rglob("*.py"), *(ROOT / "nodes").rglob("*.py"), *ROOT.glob("*.py")]:
        assert not re.search(r"^__version__|^VERSION\b", path.read_text("utf-8"), re.MULTILINE), path.name


def test_requirements_are_the_dependencies_but_for_the_frontend() -> None:
    lines = (ROOT / "requirements.txt").read_text("utf-8").split("\n")
    requirements = [line for line in lines if line and not line.startswith("#")]
    frontend, *rest = PROJECT["project"]["dependencies"]
    assert requirements == rest
    assert not [line for line in requirements if re.match(r"torch|opencv|comfy", line) or "==" in line]
    # A floor, in the three numbers without which the registry reads nothing.
    assert re.fullmatch(r"comfyui-frontend-package>=\d+\.\d+\.\d+", frontend)


def test_the_name_is_one_that_the_registry_takes_and_everything_goes_by() -> None:
    name = PROJECT["project"]["name"]
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) and len(name) < 100
    assert "comfyui" not in name
    assert name == PACK_NAME
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"comfy node install {name}\n" in readme and f" {name}\n" in readme


def test_the_registry_has_what_it_asks_for() -> None:
    comfy, project = PROJECT["tool"]["comfy"], PROJECT["project"]
    assert comfy["PublisherId"] and comfy["DisplayName"]
    assert re.fullmatch(r">=\d+\.\d+\.\d+", comfy["requires-comfyui"])
    assert project["urls"]["Repository"].startswith("https://")
    named = {entry.removeprefix("Environment :: GPU :: ") for entry in project["classifiers"] if "GPU" in entry}
    assert named == ACCELERATORS
    for name in project["license-files"]:
        assert (ROOT / name).is_file()


@pytest.mark.parametrize(("key", "ratio", "widest"), [("Icon", 1, 400), ("Banner", 21 / 9, 2100)])
def test_its_pictures_have_the_shape_that_the_registry_shows(key: str, ratio: float, widest: int) -> None:
    from PIL import Image

    address = PROJECT["tool"]["comfy"][key]
    with Image.open(ROOT / "assets" / address.rsplit("/", 1)[1]) as picture:
        width, height = picture.size
    assert width / height == pytest.approx(ratio, rel=1e-2) and width <= widest


@pytest.mark.parametrize("file", WORKFLOWS, ids=names(WORKFLOWS))
def test_workflows_name_the_pack_and_its_version(file: Path) -> None:
    graph = json.loads(file.read_text("utf-8"))
    ours = [node for node in dictionaries(graph) if str(node.get("type")).startswith("M3DDM_") and "properties" in node]
    assert ours
    for node in ours:
        named = {key: node["properties"][key] for key in ("cnr_id", "ver")}
        assert named == {"cnr_id": PACK_NAME, "ver": PROJECT["project"]["version"]}, node["type"]


def locale(language: str, name: str) -> dict[str, Any]:
    return json.loads((ROOT / "locales" / language / f"{name}.json").read_text(encoding="utf-8"))


def texts_in(tree: dict[str, Any], above: str = "") -> dict[str, str]:
    """All texts of a locale by their dotted paths."""
    found: dict[str, str] = {}
    for key, value in tree.items():
        found |= {above + key: value} if isinstance(value, str) else texts_in(value, f"{above}{key}.")
    return found


def test_these_are_the_languages() -> None:
    assert sorted(path.parent.name for path in (ROOT / "locales").glob("*/nodeDefs.json")) == LANGUAGES
    assert sorted(path.parent.name for path in (ROOT / "locales").glob("*/main.json")) == sorted(["en", *LANGUAGES])


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_translation_is_missing(language: str) -> None:
    """Against Chinese, which `run.py docs --check` holds, as all of them, to the schemas."""
    texts, chinese = texts_in(locale(language, "nodeDefs")), texts_in(CHINESE)
    missing, gone = sorted(set(chinese) - set(texts)), sorted(set(texts) - set(chinese))
    assert not missing and not gone, f"locales/{language}/nodeDefs.json lacks {missing}, and has too much: {gone}"
    assert [path for path, text in texts.items() if not text.strip()] == []
    # The frontend takes these for the beginning of a pattern.
    assert [path for path, text in texts.items() if set("@{}|") & set(text)] == []
    tooltips = {path: text for path, text in texts.items() if path.endswith(("tooltip", "description"))}
    assert [path for path, text in tooltips.items() if not re.search(SCRIPTS.get(language, "[a-z]"), text)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_drawings_texts_are_all_there(language: str) -> None:
    texts, english = texts_in(locale(language, "main")), texts_in(locale("en", "main"))
    assert set(texts) == set(english), f"locales/{language}/main.json: {sorted(set(texts) ^ set(english))}"
    named = re.compile(r"\{\w+\}")
    different = [path for path, text in texts.items() if set(named.findall(text)) != set(named.findall(english[path]))]
    assert different == []


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_sockets_have_names(language: str) -> None:
    main = locale(language, "main")
    sockets = re.findall(r'io\.Custom\("(\w+)"\)', (ROOT / "nodes" / "host" / "sockets.py").read_text("utf-8"))
    assert len(sockets) >= 5 and set(main["dataTypes"]) == set(sockets)


def test_help_pages_are_of_nodes_there_are() -> None:
    assert {path.stem for path in HELP.glob("*.md")} == set(CHINESE)
    assert {path.parent.name for path in HELP.glob("*/zh.md")} == set(CHINESE)


@pytest.mark.parametrize("page", sorted(HELP.rglob("*.md")), ids=lambda page: page.relative_to(HELP).as_posix())
def test_help_pages_fit_their_panel(page: Path) -> None:
    """ComfyUI shows them some 220 to 270 pixels wide, where a table is cut off."""
    assert not re.search(r"^\|", page.read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("node_id", sorted(CHINESE))
def test_help_has_the_same_parts_in_both_languages(node_id: str) -> None:
    assert parts(HELP / node_id / "zh.md") == parts(HELP / f"{node_id}.md")


@pytest.mark.parametrize("node_id", sorted(CHINESE))
def test_chinese_help_is_headed_by_the_nodes_chinese_name(node_id: str) -> None:
    first = (HELP / node_id / "zh.md").read_text("utf-8").partition("\n")[0]
    assert first == f"# {CHINESE[node_id]['display_name']}"


def test_the_drawing_shows_modules_where_they_are() -> None:
    (drawing,) = re.findall(r"```mermaid\n(.*?)```", ARCHITECTURE, re.DOTALL)
    rooms = re.findall(r'subgraph \w+ \["(\w+)/:.*?\n(.*?)\n    end', drawing, re.DOTALL)
    assert {room for room, _ in rooms} == {"canvas", "outpaint", "sampling", "composite"}
    for room, stations in rooms:
        for module in re.findall(r'\["(\w+)', stations):
            assert (ROOT / "m3ddm_core" / room / f"{module}.py").is_file(), f"{room}/{module}"


def test_the_layout_names_every_room_and_none_that_is_not_there() -> None:
    named = set(re.findall(r"`((?:\w+/)+|(?:\w+/)*\w+\.py)`", ARCHITECTURE))
    rooms = {f"m3ddm_core/{folder.parent.name}/" for folder in (ROOT / "m3ddm_core").glob("*/__init__.py")}
    assert rooms <= named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 200


@pytest.mark.parametrize("file", READ_ON, ids=names(READ_ON))
def test_what_the_package_carries_links_to_what_it_carries(file: Path) -> None:
    for path in links(file):
        assert (ROOT / path).exists(), f"links to {path}, which is not there"
        assert not left_out(path), f"links to {path}, which .comfyignore leaves out of the package"


@pytest.mark.parametrize("file", OTHERS, ids=names(OTHERS))
def test_other_papers_link_to_what_is_there(file: Path) -> None:
    for path in links(file):
        assert (ROOT / path).exists(), f"links to {path}, which is not there"


def test_the_readme_leads_to_every_page_of_docs() -> None:
    pages = {file.relative_to(ROOT) for file in READ_ON[1:]}
    assert pages <= set(links(ROOT / "README.md"))


def test_a_link_into_what_is_left_out_is_seen() -> None:
    assert left_out(Path("tests/core/test_papers.py")) and left_out(Path(".github/workflows/ci.yml"))
    assert not left_out(Path("docs/nodes.md")) and not left_out(Path("README.md"))


@pytest.mark.parametrize("template", TEMPLATES, ids=names(TEMPLATES))
def test_notes_say_of_weights_what_the_readme_says(template: Path) -> None:
    said, readme = notes(template), (ROOT / "README.md").read_text("utf-8")
    assert paragraph(ROOT / "README.md", "**Licence.**") in said
    sources = re.findall(r"https://huggingface\.co/(?:alimama-creative|MurakawaTakuya)/[\w-]+", readme)
    assert len(sources) == 2
    for address in sources:
        assert address in said
    assert "as it is" in said and "python -m m3ddm_core convert" in said


def test_help_says_of_weights_what_the_readme_says() -> None:
    licence = paragraph(ROOT / "README.md", "**Licence.**")
    assert paragraph(HELP / "M3DDM_LoadCheckpoint.md", "**Licence.**") == licence
    chinese = paragraph(HELP / "M3DDM_LoadCheckpoint" / "zh.md", "**许可。**")
    assert chinese.count("Apache-2.0") == licence.count("Apache-2.0")


def test_each_kind_of_wire_is_given_a_colour() -> None:
    """The drawing of wires is the browser's: here, that none of the pack's own types is left out."""
    nodes = [*(ROOT / "nodes").glob("*.py"), *(ROOT / "nodes" / "host").glob("*.py")]
    types = {name for file in nodes for name in re.findall(r'io\.Custom\("(\w+)"\)', file.read_text("utf-8"))}
    coloured = re.findall(r'(M3DDM_\w+): "(#\w{6})"', (ROOT / "nodes" / "web" / "socket_colours.js").read_text("utf-8"))
    assert {name for name, _ in coloured} == types and len({colour for _, colour in coloured}) == len(types)
