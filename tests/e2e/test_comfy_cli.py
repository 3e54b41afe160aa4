"""comfy-cli, a client that is not ours, accepts the pack and runs every template as a user would run it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devtools import templates
from devtools.host import PACK, clean_environment
from devtools.server import Server
from tests.helpers import stand_ins

pytestmark = pytest.mark.server

# Which widget the quick setting is of, and what the templates have there.
QUICK_AT = {
    "M3DDM_SamplingSettings": (0, (25, 50)),
    "M3DDM_EdgeMask": (9, (256, 768)),
    "M3DDM_SecondPass": (0, (512,)),
    "M3DDM_OutpaintVideo": (9, (256,)),
    "KSampler": (2, (25,)),
}

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """Calls the `comfy` command with a home of its own, so that it neither reads nor writes the user's settings.

    It is told in every way it knows to send nothing home.
    """
    executable = os.environ.get("M3DDM_COMFY_CLI")
    if not executable:
        pytest.skip("no comfy-cli beside this ComfyUI: set M3DDM_COMFY_CLI to its `comfy` command")
    home = str(tmp_path_factory.mktemp("home"))
    environment = clean_environment(
        DO_NOT_TRACK="1",
        COMFY_NO_TELEMETRY="1",
        COMFY_NO_UPDATE_CHECK="1",
        NO_COLOR="1",
        HOME=home,
        USERPROFILE=home,
        LOCALAPPDATA=home,
        XDG_CONFIG_HOME=home,
    )

    def call(*arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [executable, "--skip-prompt", *arguments],
            cwd=PACK,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
        )

    assert call("tracking", "disable").returncode == 0
    yield call


def quick(template: Path, target: Path) -> Path:
    """A copy of the template, still in the frontend's format, with settings that run in seconds and a name of its own
    for the video: what another test has run with the same settings comes from the server's cache, the video does not.
    """
    graph = json.loads(template.read_text(encoding="utf-8"))
    for node in graph["nodes"]:
        values = node.get("widgets_values")
        if node["type"] in QUICK_AT:
            place, expected = QUICK_AT[node["type"]]
            assert values[place] in expected
            (values[place],) = templates.QUICK[node["type"]].values()
        elif node["type"] == "SaveVideo":
            values[0] = f"comfy_cli/{template.stem}"
    target.write_text(json.dumps(graph), encoding="utf-8")
    return target


def events(answer: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The lines of JSON that it wrote."""
    return [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]


def test_the_pack_is_fit_for_the_registry(comfy: Command) -> None:
    answer = comfy("node", "validate")
    text = answer.stdout + answer.stderr
    assert answer.returncode == 0, text
    assert "validation checks passed" in text
    assert "warning" not in text.lower()


@pytest.mark.parametrize("template", templates.TEMPLATES, ids=[file.stem for file in templates.TEMPLATES])
def test_it_runs_the_template(template: Path, comfy: Command, server: Server, tmp_path: Path) -> None:
    stand_ins.provide(server.base)
    file = quick(template, tmp_path / template.name)
    where = ("--host", server.client.host, "--port", str(server.client.port))
    answer = comfy("--where", "local", "run", "--workflow", str(file), "--wait", "--json", *where, timeout=300.0)
    told = events(answer)
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    assert "converted" in [event["type"] for event in told]
    queued = next(event for event in told if event["type"] == "queued")
    assert queued["validation_warnings"] == []
    assert told[-1]["type"] == "envelope" and told[-1]["ok"] is True, told[-1]
    (written,) = (server.output / "comfy_cli").glob(f"{template.stem}_*.mp4")
    assert written.stat().st_size > 1000
