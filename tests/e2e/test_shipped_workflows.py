"""Files from earlier versions mean today what they meant when they were saved, and still run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from devtools import shipped, templates, workflow
from devtools.host import PACK
from devtools.server import Server
from tests.helpers import stand_ins
from tests.helpers.template_files import choices, definitions
from tests.helpers.written_videos import facts

pytestmark = pytest.mark.server

VERSIONS = sorted(path.name for path in shipped.FOLDER.iterdir() if path.is_dir())
FILES = [file for version in VERSIONS for file in sorted((shipped.FOLDER / version).glob("*.json"))]
WORKFLOWS = [file for file in FILES if file.name != shipped.PROMPTS]
EACH = pytest.mark.parametrize("file", WORKFLOWS, ids=[f"{file.parent.name}-{file.stem}" for file in WORKFLOWS])


@pytest.fixture(scope="module")
def object_info(server: Server) -> dict[str, Any]:
    stand_ins.provide(server.base)
    return server.client.object_info()


def meant(file: Path) -> dict[str, Any]:
    """The prompt that a workflow stood for when it was shipped."""
    return json.loads((file.parent / shipped.PROMPTS).read_text(encoding="utf-8"))[file.stem]


def accepted(spec: Any) -> list[str]:
    """The types that an input takes; of an input that grows, those of each part."""
    kind = spec[0]
    if kind == "COMFY_AUTOGROW_V3":
        ((kind, *_),) = spec[1]["template"]["input"]["required"].values()
    return kind.split(",")


def test_every_release_is_kept() -> None:
    changelog = (PACK / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(.+?)\] - ", changelog, re.MULTILINE)
    assert sorted(released) == VERSIONS
    for version in VERSIONS:
        named = json.loads((shipped.FOLDER / version / shipped.PROMPTS).read_text(encoding="utf-8"))
        assert {file.stem for file in WORKFLOWS if file.parent.name == version} == set(named)


@EACH
def test_it_means_what_it_meant(file: Path, object_info: dict[str, Any]) -> None:
    """Values are stored by place: a new input anywhere but at the end would give them to its neighbours."""
    now, then = workflow.load(file, object_info), meant(file)
    assert now.keys() == then.keys()
    for node, entry in then.items():
        assert now[node]["class_type"] == entry["class_type"]
        given = now[node]["inputs"]
        if entry["class_type"] == "M3DDM_SamplingSettings" and "preset" not in entry["inputs"]:
            assert given["preset"] == "custom", "its numbers would no longer count"
        assert {name: given.get(name) for name in entry["inputs"]} == entry["inputs"], entry["class_type"]


@EACH
def test_it_is_what_the_nodes_take_today(file: Path, object_info: dict[str, Any]) -> None:
    prompt = meant(file)
    for entry in prompt.values():
        kind, given = entry["class_type"], entry["inputs"]
        info = object_info[kind]
        known = definitions(info)
        # What belongs to a dynamic combo or to an input that grows has its name, a dot, and one of its own.
        named = {name.partition(".")[0] for name in given}
        assert named <= set(known), kind
        assert set(info["input"]["required"]) <= named, f"{kind} asks for an input that it did not ask for then"
        for name, value in given.items():
            if isinstance(value, list):
                node, slot = value
                origin = prompt[node]["class_type"]
                taken = accepted(known[name.partition(".")[0]])
                assert object_info[origin]["output"][slot] in taken, f"{origin} to {kind}.{name}"
            elif name in known:
                offered, limits = choices(known[name]), known[name][1] if len(known[name]) > 1 else {}
                assert offered is None or value in offered, f"{kind}.{name}: {value!r} is not offered"
                assert (
                    offered or isinstance(value, str) or limits.get("min", value) <= value <= limits.get("max", value)
                )


def test_a_changed_meaning_is_noticed(object_info: dict[str, Any]) -> None:
    """So that the tests above can fail: an input before the others, and one that is asked for."""
    file = next(file for file in WORKFLOWS if file.stem == "short_clip")
    info = json.loads(json.dumps(object_info["M3DDM_SamplingSettings"]))
    new = ["INT", {"default": 3}]
    info["input"]["required"] = {"new": new, **info["input"]["required"]}
    info["input_order"]["required"].insert(0, "new")
    changed = {**object_info, "M3DDM_SamplingSettings": info}
    with pytest.raises(AssertionError):
        test_it_means_what_it_meant(file, changed)
    with pytest.raises(AssertionError, match="did not ask for"):
        test_it_is_what_the_nodes_take_today(file, changed)


def test_an_old_prompt_runs(server: Server, object_info: dict[str, Any], tmp_path: Path) -> None:
    """As a script sends it, without the inputs that have come since."""
    (file,) = (file for file in WORKFLOWS if (file.parent.name, file.stem) == ("0.1.0", "short_clip"))
    prompt = meant(file)
    for kind in ("M3DDM_SamplingSettings", "M3DDM_EdgeMask"):
        workflow.set_inputs(prompt, kind, **templates.QUICK[kind])
    result = server.client.run(prompt)
    (written,) = result.files(workflow.of_type(prompt, "SaveVideo")[0])
    frames, size, *_ = facts(server.client.fetch(written, tmp_path / "out.mp4"))
    assert (frames, size) == (24, (640, 360))
