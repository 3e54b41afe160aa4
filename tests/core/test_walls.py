"""The walls of the house, read from the source: who imports whom, and what no file of the pack may hold.

Every check takes source text, so that each is also shown text that breaks its rule.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = "m3ddm_core"
NODES = "nodes"

LIBRARIES = {"torch", "einops", "numpy", "safetensors"}
OPTIONAL = {"cv2", "diffusers"}
"""May be missing on a user's machine: only ever imported inside a function."""
EXTRAS = {
    "material": {"PIL", "av"},
    "evaluation": {"PIL", "av", "lpips", "matplotlib", "skimage", "tqdm"},
    "fleet": {"ray"},
    "video": {"PIL", "av"},
    "training": {"PIL", "accelerate", "av", "matplotlib", "tensorboard", "tomli"},
}
"""What else a folder of the core may import, in the same way: the extra of pyproject.toml for its command."""

PACK_MODULES = {CORE, NODES}
"""ComfyUI loads the pack under another name: these are only ever reached by relative imports."""

OF_COMFYUI = {"nodes/load_vae": {NODES}}
"""Who means ComfyUI's own ``nodes``: its list of VAEs is to be had nowhere else."""

STANDARD_LIBRARY_ONLY = {
    "canvas/framing",
    "canvas/limits",
    "canvas/motion_path",
    "canvas/placement",
    "canvas/quoted",
    "canvas/result_size",
    "canvas/typed",
    "fleet/schedule",
    "fleet/simulate",
    "fleet/shell",
    "outpaint/frame_numbers",
    "outpaint/plan",
    "outpaint/time_left",
}

FLAT = {"__init__", "__main__", "pipeline", "models", "frames", "vae"}
"""What may lie in the core's own folder: all else has a room."""

ROOMS: dict[str, set[str]] = {
    "canvas": set(),
    "unet": set(),
    "sampling": {"canvas/placement"},
    "journal": {"sampling", "seen"},
    "checkpoint": {"unet"},
    "outpaint": {"canvas", "journal", "sampling"},
    "composite": {"canvas", "seen/recipe"},
    "seen": {"canvas"},
    "synthetic": set(),
    "video": {"canvas", "composite", "journal", "outpaint", "seen"},
    "material": {"video"},
    "fleet": {"checkpoint", "journal", "outpaint/clips", "outpaint/plan", "sampling"},
    "command": {
        "canvas",
        "checkpoint",
        "fleet",
        "journal",
        "outpaint/side_by_side",
        "outpaint/time_left",
        "sampling",
        "video/board",
        "video/crop",
        "video/cuts",
        "video/fields",
        "video/file",
        "video/formats",
        "video/listing",
        "video/place",
        "video/suffixes",
        "video/whole",
    },
    "training": {
        "canvas",
        "checkpoint",
        "evaluation",
        "material",
        "outpaint",
        "sampling",
        "synthetic",
        "unet",
        "video",
    },
    "evaluation": {
        "canvas",
        "checkpoint",
        "composite",
        "material",
        "outpaint",
        "sampling",
        "seen",
        "synthetic",
        "video",
    },
}
"""The rooms, and which others each may enter, or which one file of another. Every one may ask `frames` and `vae`, which
lie flat beside them."""

ABOVE_THE_PIPELINE = {"command", "fleet", "training", "evaluation"}


def sources(folder: str) -> dict[str, str]:
    """Map each Python file of a folder, by its path from the folder without ``.py``, to its text."""
    base = ROOT / folder
    return {
        path.relative_to(base).with_suffix("").as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(base.rglob("*.py"))
    }


def pack_files() -> dict[str, str]:
    files = {f"{folder}/{name}": text for folder in (CORE, NODES) for name, text in sources(folder).items()}
    root = ROOT / "__init__.py"
    if root.exists():
        files["__init__"] = root.read_text(encoding="utf-8")
    return files


def absolute_imports(text: str, *, top_level_only: bool = False) -> set[str]:
    """Return the first parts of the modules imported by absolute name."""
    tree = ast.parse(text)
    found = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def relative_imports(text: str, name: str) -> set[str]:
    """Return what the file ``name`` imports relatively, as paths from the folder that ``name`` is counted from.

    ``from .a.b import c`` in ``x/y`` is ``x/a/b``; ``from . import a`` there is ``x/a``; what lies outside the folder
    begins with ``..``.
    """
    parts = name.split("/")
    found = set()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        depth = len(parts) - node.level
        base = parts[:depth] if depth >= 0 else [".."] * -depth
        modules = [node.module.replace(".", "/")] if node.module else [alias.name for alias in node.names]
        found |= {"/".join([*base, module]) for module in modules}
    return found


def work_at_import(text: str) -> list[str]:
    """Return the statements outside functions that do more than define something."""
    allowed = (
        ast.Import,
        ast.ImportFrom,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Assign,
        ast.AnnAssign,
    )
    found = []
    for node in ast.parse(text).body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        guarded = isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'")
        if not (isinstance(node, allowed) or docstring or guarded):
            found.append(f"line {node.lineno}: {ast.unparse(node).splitlines()[0]}")
    return found


def forbidden(text: str) -> list[str]:
    """Return what no file of the pack may hold: code from data, swallowed interrupts, devices by name."""
    found = []
    for node in ast.walk(ast.parse(text)):
        what = None
        if isinstance(node, ast.ExceptHandler):
            what = _swallows(node)
        elif isinstance(node, ast.Call):
            what = _forbidden_call(node)
        if what:
            found.append(f"line {node.lineno}: {what}")
    return found


def _swallows(node: ast.ExceptHandler) -> str | None:
    """ComfyUI's interrupt is a BaseException: whoever catches that passes it on."""
    if node.type is None:
        return "bare except"
    reraises = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
    if "BaseException" in ast.unparse(node.type) and not reraises:
        return "except BaseException that does not raise it again"
    return None


def _forbidden_call(node: ast.Call) -> str | None:
    name = ast.unparse(node.func)
    if name in ("eval", "exec", "compile", "__import__"):
        return f"{name}()"
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    weights_only = keywords.get("weights_only")
    if name == "torch.load" and weights_only is None:
        return "torch.load without weights_only"
    if weights_only is not None and ast.unparse(weights_only) != "True":
        return "weights_only other than True"
    if isinstance(node.func, ast.Attribute):
        if node.func.attr == "cuda":
            return ".cuda()"
        values = [*node.args, *keywords.values()]
        if node.func.attr == "to" and any(
            isinstance(value, ast.Constant) and str(value.value).startswith(("cuda", "mps", "xpu")) for value in values
        ):
            return "a device by name"
    return None


def test_there_is_a_house() -> None:
    names = set(sources(CORE))
    assert {"__init__", "outpaint/plan", "canvas/placement", "unet/config"} <= names
    assert {name for name in names if "/" not in name} <= FLAT
    assert {name.split("/")[0] for name in names if "/" in name} == set(ROOMS)


@pytest.mark.parametrize("name", sources(CORE))
def test_core_needs_its_libraries_and_nothing_else(name: str) -> None:
    text = sources(CORE)[name]
    outside = absolute_imports(text) - set(sys.stdlib_module_names)
    optional = OPTIONAL | EXTRAS.get(name.split("/")[0], set())
    assert outside <= LIBRARIES | optional
    assert not absolute_imports(text, top_level_only=True) & optional
    assert not {target for target in relative_imports(text, name) if target.startswith("..")}, "the core looks outside"


@pytest.mark.parametrize("name", sorted(STANDARD_LIBRARY_ONLY))
def test_plans_are_integers(name: str) -> None:
    text = sources(CORE)[name]
    assert absolute_imports(text) <= set(sys.stdlib_module_names)
    assert relative_imports(text, name) <= STANDARD_LIBRARY_ONLY


@pytest.mark.parametrize("name", [name for name in sources(CORE) if "/" in name])
def test_a_room_enters_those_below_it(name: str) -> None:
    room = name.split("/")[0]
    entered = relative_imports(sources(CORE)[name], name)
    flat = {"frames", "vae", "models", "pipeline"} if room in ABOVE_THE_PIPELINE else {"frames", "vae"}
    allowed = ROOMS[room] | {room} | flat
    assert not {target for target in entered if not {target, target.split("/")[0]} & allowed}


@pytest.mark.parametrize("name", [name for name in sources(NODES) if name != "__init__"])
def test_node_files_do_not_import_each_other(name: str) -> None:
    inside = {target for target in relative_imports(sources(NODES)[name], name) if not target.startswith("../")}
    assert all(target.split("/")[0] == "host" for target in inside)


@pytest.mark.parametrize("name", sources(NODES))
def test_nodes_reach_out_to_the_core_alone(name: str) -> None:
    outside = {target for target in relative_imports(sources(NODES)[name], name) if target.startswith("..")}
    assert all(CORE in target.split("/") for target in outside)


@pytest.mark.parametrize("name", pack_files())
def test_every_file_of_the_pack(name: str) -> None:
    text = pack_files()[name]
    own = PACK_MODULES - OF_COMFYUI.get(name, set())
    assert not absolute_imports(text) & own, "the pack's own modules are imported relatively"
    assert not work_at_import(text)
    assert not forbidden(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import comfy.sd", {"comfy"}),
        ("def f():\n    from folder_paths import base_path", {"folder_paths"}),
        ("from . import plan", set()),
    ],
)
def test_absolute_imports_are_seen(text: str, found: set[str]) -> None:
    assert absolute_imports(text) == found


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("from .plan import Clip", "outpaint/stages", {"outpaint/plan"}),
        ("from . import plan, state", "outpaint/stages", {"outpaint/plan", "outpaint/state"}),
        ("from .blocks import Down", "unet/model", {"unet/blocks"}),
        ("from ..state import S", "unet/model", {"state"}),
        ("from ..m3ddm_core.outpaint.plan import Clip", "sample", {"../m3ddm_core/outpaint/plan"}),
        ("from ...m3ddm_core.frames import chunks", "host/vae", {"../m3ddm_core/frames"}),
        ("from ..m3ddm_core import plan", "sample", {"../m3ddm_core"}),
        ("from .edge_mask import EdgeMask", "sample", {"edge_mask"}),
    ],
)
def test_relative_imports_are_seen(text: str, name: str, found: set[str]) -> None:
    assert relative_imports(text, name) == found


@pytest.mark.parametrize(
    "text", ["print('hello')", "for i in range(3):\n    pass", "try:\n    import cv2\nexcept ImportError:\n    cv2 = 0"]
)
def test_work_at_import_is_seen(text: str) -> None:
    assert work_at_import(text)


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    f()\nexcept:\n    pass",
        "try:\n    f()\nexcept BaseException:\n    pass",
        "eval('1')",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "x.to('cuda')",
        "x.to(device='cuda:1')",
        "x.cuda()",
    ],
)
def test_forbidden_things_are_seen(text: str) -> None:
    assert forbidden(text)


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    f()\nexcept BaseException:\n    clean()\n    raise",
        "torch.load(path, weights_only=True)",
        "x.to(device)",
        "network.eval()",
    ],
)
def test_what_is_allowed_passes(text: str) -> None:
    assert not forbidden(text)
