"""What run.py stands on, as far as it needs no server: reading workflows, unpacking archives, telling what failed."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from devtools import install, pip, tiers, weights, workflow
from devtools.report import Problem

INFO: dict[str, Any] = {
    "Load": {"input": {"required": {"file": ["COMBO", {"options": ["a.mp4"], "video_upload": True}]}}, "output": ["V"]},
    "Sample": {
        "input": {
            "required": {"video": ["V"], "seed": ["INT", {"control_after_generate": True}], "steps": ["INT", {}]},
            "optional": {"scale": ["FLOAT", {"default": 2.0}], "mask": ["MASK"]},
        },
        "output": ["V"],
    },
    "Save": {
        "input": {
            "required": {
                "video": ["V"],
                "codec": [
                    "COMFY_DYNAMICCOMBO_V3",
                    {
                        "options": [
                            {"key": "auto", "inputs": {"required": {}}},
                            {"key": "h264", "inputs": {"required": {"crf": ["FLOAT", {"default": 23.0}]}}},
                        ]
                    },
                ],
                "prefix": ["STRING", {"default": "out"}],
            }
        },
        "output": [],
    },
}


def node(number: int, kind: str, link: int | None = None, values: Any = None, **more: Any) -> dict[str, Any]:
    inputs = [] if link is None else [{"name": "video", "type": "V", "link": link}]
    outputs = [{"name": "V", "type": "V"}]
    return {"id": number, "type": kind, "inputs": inputs, "outputs": outputs, "widgets_values": values, **more}


def chain(middle: dict[str, Any], *others: dict[str, Any]) -> dict[str, Any]:
    """Load (1) -> ``middle`` (2) -> Save (3)."""
    links = [[1, 1, 0, 2, 0, "V"], [2, 2, 0, 3, 0, "V"], [3, 4, 0, 2, 1, "INT"]]
    return {
        "nodes": [node(1, "Load", None, ["a.mp4", "image"]), middle, node(3, "Save", 2, ["h264", 8, "x"]), *others],
        "links": links,
    }


def test_an_input_that_a_file_lacks_may_mean_something_else_than_on_a_new_node():
    info = {"input": {"required": {"steps": ["INT", {}]}, "optional": {"preset": ["COMBO", {"options": ["a", "b"]}]}}}
    info["input"]["optional"]["preset"][1] |= {"default": "a", "if_absent": "b"}
    assert workflow.widget_values({"widgets_values": [3]}, info) == {"steps": 3, "preset": "b"}
    assert workflow.widget_values({"widgets_values": [3, "a"]}, info) == {"steps": 3, "preset": "a"}
    assert workflow.widget_values({}, info) == {"steps": 0, "preset": "a"}


def test_a_node_takes_the_place_of_another():
    prompt = {"1": {"class_type": "A", "inputs": {"x": 1}}, "2": {"class_type": "B", "inputs": {"a": ["1", 0]}}}
    workflow.replace(prompt, "A", "C", y=2)
    assert prompt == {"1": {"class_type": "C", "inputs": {"y": 2}}, "2": {"class_type": "B", "inputs": {"a": ["1", 0]}}}
    with pytest.raises(Problem, match="without a node A"):
        workflow.replace(prompt, "A", "C")


def test_the_demonstration_is_run_as_its_file_says(tmp_path: Path) -> None:
    settings, canvas_size = weights.advice(weights.DEMO.checkpoint)
    assert (settings["sampler"], settings["steps"], canvas_size) == ("ddim", 2, 128)
    assert weights.advice(tmp_path / "diffusion_pytorch_model.bin") == ({}, None)
    silent = tmp_path / "m3ddm.safetensors"
    silent.write_bytes(b"\2\0\0\0\0\0\0\0{}")
    assert weights.advice(silent) == ({}, None)


def test_widget_values_get_their_names_and_links_their_origin():
    prompt = workflow.to_prompt(chain(node(2, "Sample", 1, [7, "fixed", 50, 3.0])), INFO)
    assert prompt["1"]["inputs"] == {"file": "a.mp4"}
    assert prompt["2"]["inputs"] == {"video": ["1", 0], "seed": 7, "steps": 50, "scale": 3.0}
    assert prompt["3"]["inputs"] == {"video": ["2", 0], "codec": "h264", "codec.crf": 8, "prefix": "x"}


def test_what_an_older_workflow_lacks_gets_its_default():
    prompt = workflow.to_prompt(chain(node(2, "Sample", 1, [7, "fixed", 50])), INFO)
    assert prompt["2"]["inputs"]["scale"] == 2.0


def test_an_option_without_inputs_takes_no_values():
    graph = chain(node(2, "Sample", 1, [7, "fixed", 50]))
    graph["nodes"][2]["widgets_values"] = ["auto", "x"]
    prompt = workflow.to_prompt(graph, INFO)
    assert prompt["3"]["inputs"] == {"video": ["2", 0], "codec": "auto", "prefix": "x"}


@pytest.mark.parametrize("middle", [node(2, "Reroute", 1), node(2, "Sample", 1, [7, "fixed", 50], mode=4)])
def test_reroutes_and_bypassed_nodes_are_passed_through(middle):
    prompt = workflow.to_prompt(chain(middle), INFO)
    assert set(prompt) == {"1", "3"}
    assert prompt["3"]["inputs"]["video"] == ["1", 0]


def test_muted_nodes_and_notes_are_left_out():
    graph = chain(node(2, "Sample", 1, [7, "fixed", 50], mode=2), node(5, "MarkdownNote", None, ["text"]))
    prompt = workflow.to_prompt(graph, INFO)
    assert set(prompt) == {"1", "3"}
    assert "video" not in prompt["3"]["inputs"]


def test_a_primitives_value_takes_the_widgets_place():
    middle = node(2, "Sample", 1, [7, "fixed", 50])
    middle["inputs"].append({"name": "seed", "type": "INT", "link": 3, "widget": {"name": "seed"}})
    prompt = workflow.to_prompt(chain(middle, node(4, "PrimitiveNode", None, [99, "fixed"])), INFO)
    assert prompt["2"]["inputs"]["seed"] == 99
    assert "4" not in prompt


def test_an_unknown_node_is_named():
    with pytest.raises(Problem, match="got the node 'Nobody'"):
        workflow.to_prompt(chain(node(2, "Nobody", 1)), INFO)


def test_only_files_inside_the_wanted_folder_are_unpacked(tmp_path: Path):
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("top/vendor/ComfyUI/main.py", "top/vendor/ComfyUI/a/b.py", "top/vendor/ComfyUI/../../../evil.py"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
        tar.addfile(tarfile.TarInfo("top/vendor/other.py"), io.BytesIO())
        link = tarfile.TarInfo("top/vendor/ComfyUI/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    target = tmp_path / "deep" / "target"
    install.unpack(archive, ("vendor", "ComfyUI"), target)
    found = {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()
    }
    assert found == {"a.tar.gz", "deep/target/main.py", "deep/target/a/b.py"}


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("ERROR: Could not install packages due to an OSError: No space left on device", "M3DDM_CACHE"),
        ("WARNING: Retrying after NewConnectionError: Name or service not known", "check the network"),
        ("ERROR: Could not find a version that satisfies x (from versions: none)", "check the network"),
        ("ERROR: No matching distribution found for torch==2.11.0", "Another Python version"),
    ],
)
def test_a_failed_installation_says_what_to_do(said: str, remedy: str, tmp_path: Path):
    assert remedy in pip._failure("Installing", [said], tmp_path / "install.log")


def test_a_package_without_tests_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tiers, "PACK", tmp_path)
    with pytest.raises(Problem, match=r"without its tests.*clone the repository"):
        tiers.run_tiers(["core"], [])


def test_an_unknown_tier_is_named_with_those_there_are():
    with pytest.raises(Problem, match=r"got nonsense, expected .*core.*browser"):
        tiers.run_tiers(["nonsense"], [])


def test_no_golden_test_is_outside_the_tier_of_them():
    """The core's tier leaves out whatever is marked so."""
    (golden,) = (tier.folder for tier in tiers.TIERS if tier.markers == "golden")
    mark = "mark." + "golden"
    marked = [path for path in (tiers.PACK / "tests").rglob("test_*.py") if mark in path.read_text(encoding="utf-8")]
    assert marked == [tiers.PACK / golden]
