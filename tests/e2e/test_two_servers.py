"""Two ComfyUI servers on one pack, with one journal and one output folder, at the same video at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devtools import host as hosts
from devtools.server import Server
from tests.e2e.test_outpaint_video import graph

pytestmark = pytest.mark.server


def test_both_end_in_the_same_video_and_neither_harms_the_other(
    host: hosts.Host, small_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("M3DDM_JOURNAL")
    with (
        Server(host, base=tmp_path, models={}, inputs=[small_clip], log=tmp_path / "one.log") as one,
        Server(host, base=tmp_path, models={}, log=tmp_path / "two.log") as two,
    ):

        def run(server: Server) -> Path:
            (written,) = server.client.run(graph(small_clip.name)).files("save")
            return Path(written["filename"])

        with ThreadPoolExecutor() as threads:
            names = list(threads.map(run, (one, two)))
        again = run(one)
    output, journal = tmp_path / "output", tmp_path / "user" / "__m3ddm" / "journal"
    whole = {path.read_bytes() for path in output.iterdir()}
    # ComfyUI counts what is there: both may have chosen the same name, and the one that came last is there.
    assert {path.name for path in output.iterdir()} == {*map(str, names), str(again)}
    assert len(whole) == 1, "the same frames, whoever has sampled them"
    assert journal.is_dir() and all(path.suffix == ".safetensors" for path in journal.iterdir())
    logs = "".join((tmp_path / name).read_text(encoding="utf-8") for name in ("one.log", "two.log"))
    assert "the journal in" not in logs and "Traceback" not in logs
