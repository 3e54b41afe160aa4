"""comfy-cli, a client that is not ours, runs every template as a user would. That it accepts the pack is for lint."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from devtools import comfy_cli, templates
from devtools.server import Server
from tests.helpers import stand_ins

pytestmark = pytest.mark.server

# Which widgets the quick settings are of, and what the templates have there.
QUICK_AT = {
    "M3DDM_SamplingSettings": {"preset": (8, ("balanced", "custom", "checkpoint")), "steps": (0, (25, 50))},
    "M3DDM_EdgeMask": {"canvas_size": (9, (256, 768))},
    "M3DDM_EncodeGlobalFrames": {"count": (0, (16,))},
    "M3DDM_SecondPass": {"canvas_size": (0, (512,))},
    "M3DDM_OutpaintVideo": {"canvas_size": (9, (0, 256))},
    "KSampler": {"steps": (2, (1, 25))},
}
# Of its own, where a template takes all frames: test_template_runs.py runs it with them.
FIRST_FRAMES_AT, FEW = 13, 20

# What other models make is left out of the tests that may change a prompt; comfy-cli takes the file as it is.
TOO_LARGE = {"Remove what you name", "Restored by SeedVR2"}

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Calls the `comfy` command with a home of its own."""
    executable = os.environ.get("M3DDM_COMFY_CLI")
    if not executable:
        pytest.skip("no comfy-cli beside this ComfyUI: set M3DDM_COMFY_CLI to its `comfy` command")
    call = partial(comfy_cli.call, Path(executable), tmp_path_factory.mktemp("home"))
    assert call("tracking", "disable").returncode == 0
    return call


def quick(template: Path, target: Path) -> Path:
    """A copy of the template, still in the frontend's format, with settings that run in seconds and a name of its own
    for the video: what another test has run with the same settings comes from the server's cache, the video does not.
    """
    graph = json.loads(template.read_text(encoding="utf-8"))
    for node in graph["nodes"]:
        values = node.get("widgets_values")
        if node["type"] in QUICK_AT:
            for name, (place, expected) in QUICK_AT[node["type"]].items():
                assert values[place] in expected
                values[place] = templates.QUICK[node["type"]][name]
            if node["type"] in ("M3DDM_EdgeMask", "M3DDM_OutpaintVideo"):
                assert values[FIRST_FRAMES_AT] in (0, 1, 24)
                values[FIRST_FRAMES_AT] = values[FIRST_FRAMES_AT] or FEW
        elif node["type"] == "SaveVideo":
            values[0] = f"comfy_cli/{template.stem}"
    target.write_text(json.dumps(graph), encoding="utf-8")
    return target


def events(answer: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The lines of JSON that it wrote."""
    return [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("template", templates.TEMPLATES, ids=[file.stem for file in templates.TEMPLATES])
def test_it_runs_the_template(template: Path, comfy: Command, server: Server, tmp_path: Path) -> None:
    stand_ins.provide(server.base)
    file = quick(template, tmp_path / template.name)
    where = ("--host", server.client.host, "--port", str(server.client.port))
    # Of itself it gives up when it has heard nothing for half a minute.
    patience = ("--timeout", "900")
    answer = comfy(
        *("--where", "local", "run", "--workflow", str(file), "--wait", "--json", *where, *patience), timeout=3600.0
    )
    told = events(answer)
    assert "converted" in [event["type"] for event in told]
    queued = next(event for event in told if event["type"] == "queued")
    assert queued["validation_warnings"] == []
    if templates.title(template) in TOO_LARGE:  # all of it is accepted, and one of those models cannot be loaded
        assert answer.returncode != 0 and told[-1]["ok"] is False, told[-1]
        return
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    assert told[-1]["type"] == "envelope" and told[-1]["ok"] is True, told[-1]
    (written,) = (server.output / "comfy_cli").glob(f"{template.stem}_*.mp4")
    assert written.stat().st_size > 1000
