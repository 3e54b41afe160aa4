"""The recipe of docs/api.md, as it stands, against a real server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest

from devtools.host import PACK
from devtools.server import Server

pytestmark = pytest.mark.server

SCRIPT, PROMPT = PACK / "docs" / "reframe_folder.py", PACK / "docs" / "reframe_prompt.json"


def few_steps() -> dict[str, Any]:
    """The recipe's prompt with less work."""
    prompt = json.loads(PROMPT.read_text("utf-8"))
    settings = {"steps": 2, "sampler": "pndm", "scheduler": "normal", "context_scale": 1.0, "global_scale": 1.0}
    settings |= {"denoise": 1.0, "guide_noise": 0, "clips_per_batch": 1}
    prompt["few"] = {"class_type": "M3DDM_SamplingSettings", "inputs": settings}
    prompt["5"]["inputs"] |= {"settings": ["few", 0], "canvas_size": 64}
    return prompt


def test_a_folder_is_reframed_and_what_cannot_be_is_named(server: Server, small_clip: Path, tmp_path: Path) -> None:
    videos, results, prompt = (tmp_path / name for name in ("videos", "results", "prompt.json"))
    videos.mkdir()
    shutil.copy(small_clip, videos / "a film.mp4")
    shutil.copy(small_clip, videos / "b.mov")
    (videos / "broken.mp4").write_bytes(b"no video")
    (videos / "notes.txt").write_text("not one")
    prompt.write_text(json.dumps(few_steps()))
    command = [sys.executable, str(SCRIPT), str(videos), str(results), "--prompt", str(prompt)]
    address = f"http://{server.client.host}:{server.client.port}"
    answer = subprocess.run([*command, "--server", address], capture_output=True, text=True, timeout=3600)
    assert answer.returncode == 1, answer.stderr
    assert "broken.mp4: M3DDM_CropVideo: got" in answer.stderr and "which cannot be read" in answer.stderr
    assert sorted(path.name for path in results.iterdir()) == ["a film.mp4", "b.mp4"]
    for name in ("a film.mp4", "b.mp4"):
        with av.open(str(results / name)) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == (48, 86) and container.streams.audio
            assert sum(1 for _ in container.decode(stream)) == 20


def test_a_prompt_that_is_refused_says_why(server: Server, small_clip: Path, tmp_path: Path) -> None:
    prompt = few_steps()
    prompt["6"]["inputs"] |= {"format": "avi"}
    (tmp_path / "prompt.json").write_text(json.dumps(prompt))
    shutil.copytree(small_clip.parent, tmp_path / "videos")
    command = [sys.executable, str(SCRIPT), str(tmp_path / "videos"), str(tmp_path / "out")]
    command += ["--prompt", str(tmp_path / "prompt.json"), "--server", f"http://127.0.0.1:{server.client.port}"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    assert answer.returncode == 1 and "got the format 'avi', expected one of h264" in answer.stderr
