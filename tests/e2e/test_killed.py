"""SIGKILL in a real server: a new one goes on, and the video comes out the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.kills.comfyui import ComfyUI
from benchmarks.kills.measure import clear, videos
from benchmarks.material import write_clip, write_network
from devtools.host import Host

pytestmark = [
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="no other system has SIGKILL"),
]

FRAMES = 20
CLIPS = 2

# Put behind what tells of clips, in the server: it stops at the last clip, or before a file gets its name, as a file
# beside it says. Who kills may be held up longer than the rest takes.
HOLDS = """
import os
import time

HOLD = Path(__file__).with_name("hold")
_plain, _replace = _sample, os.replace


def _wait(where):
    while HOLD.exists() and HOLD.read_text() == where:
        time.sleep(0.1)


def _sample(self, noise, *arguments, **options):
    if BEGUN.stat().st_size == CLIPS:
        _wait("clip")
    return _plain(self, noise, *arguments, **options)


def held(part, whole, **options):
    if str(whole).endswith(".mp4"):
        _wait("file")
    _replace(part, whole, **options)


os.replace = held
"""


def test_a_server_that_is_killed_loses_one_clip_at_most_and_leaves_nothing_half_made(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while the second clip is sampled, and once more while Save Video writes."""
    monkeypatch.delenv("M3DDM_JOURNAL")
    write_clip(tmp_path / "in.mp4", FRAMES)
    write_network(tmp_path / "network.safetensors")
    way = ComfyUI(tmp_path, tmp_path / "in.mp4", tmp_path / "network.safetensors", steps=8, seen="both", host=host)
    with (way.told.parent / "__init__.py").open("a", encoding="utf-8") as teller:
        teller.write(f"\nCLIPS = {CLIPS}\n{HOLDS}")
    hold = way.told.with_name("hold")

    def unfinished() -> list[Path]:
        return list(way.out.glob(".*.part"))

    whole = way.run()
    (made,) = videos(way.out)
    content = made.read_bytes()
    assert whole.begun == CLIPS and not whole.killed
    clear(way)

    hold.write_text("clip")
    sampling = way.run(lambda cpu: len(way.told.read_bytes()) == CLIPS)
    assert sampling.killed and sampling.begun == CLIPS
    assert not list(way.out.iterdir()) and len(list(way.journal.iterdir())) == CLIPS, (
        "one clip, and what was seen around"
    )

    # FFmpeg writes what is so small at the very end: that the file is there has to do.
    hold.write_text("file")
    saving = way.run(lambda cpu: bool(unfinished()))
    assert saving.killed and saving.begun == 1, "no more than the clip that was under way"
    assert not videos(way.out) and len(unfinished()) == 1

    hold.unlink()
    last = way.run()
    assert not last.killed and last.begun == 0, "all clips were there"
    assert [path.read_bytes() for path in way.out.iterdir()] == [content], "the same bytes, and nothing beside them"
