"""``python -m m3ddm_core scenes``, and what ``outpaint --board`` makes of what was decided."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import av
import pytest
import torch

from m3ddm_core.__main__ import main
from m3ddm_core.unet import M3DDMUNet
from m3ddm_core.vae import VAE
from m3ddm_core.video import file as video_file
from m3ddm_core.video.file import FileSource
from m3ddm_core.video.formats import Encoding
from m3ddm_core.video.writer import write_video
from tests.helpers.many_scenes import FIRSTS, LENGTH, SCENES, SIZE, many_scenes

pytestmark = pytest.mark.usefixtures("small_globals")

ROOT = Path(__file__).resolve().parents[2]
MODELS = ["--checkpoint", str(ROOT / "models" / "m3ddm_demo.safetensors")]
MODELS += ["--vae", str(ROOT / "models" / "m3ddm_demo_vae.safetensors")]
FEW = 2


def written(path, scenes, length=LENGTH, size=SIZE):
    source = many_scenes(scenes, length, size)
    write_video(path, source.frames(), source.info, encoding=Encoding("ffv1"))
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_scenes_are_listed_in_one_pass(folder, monkeypatch, capsys):
    written(folder / "in.mkv", SCENES)
    passes, decodable = [], video_file.decodable
    monkeypatch.setattr(video_file, "decodable", lambda *given: passes.append(1) or decodable(*given))
    assert main(["scenes", "in.mkv", "--board", "board.json", "--strip", "strip.png"]) == 0
    said = capsys.readouterr()
    assert len(passes) == 1, "every frame is decoded once"
    lines = said.out.splitlines()
    assert len(lines) == SCENES and lines[1] == f"   2  frame {LENGTH}, at 0:00:00.36: {LENGTH} frames, 0.36 s"
    assert "180 frames, 20 scenes" in said.err
    board = json.loads((folder / "board.json").read_text())
    assert board == {"cuts": FIRSTS[1:], "scenes": [{"first": first} for first in FIRSTS]}
    (strip,) = FileSource("strip.png").frames()
    assert strip.shape[0] % SCENES == 0


def test_what_is_decided_is_not_written_over(folder, capsys):
    written(folder / "in.mkv", FEW)
    assert main(["scenes", "in.mkv", "--board", "board.json"]) == 0
    (folder / "board.json").write_text('{"scenes": [{"first": 9, "seed": 5}]}')
    assert main(["scenes", "in.mkv", "--board", "board.json", "--strip", "strip.png"]) == 2
    assert (
        "error: got board.json, which exists, expected a new name; --overwrite replaces it" in capsys.readouterr().err
    )
    assert "5" in (folder / "board.json").read_text() and not (folder / "strip.png").exists()
    assert main(["scenes", "in.mkv", "--board", "board.json", "--overwrite"]) == 0


def test_bad_input_is_told_in_a_line(folder, capsys):
    for arguments, message in (
        (["gone.mp4"], "gone.mp4"),
        (["in.mkv", "--cut-threshold", "2"], "got a scene cut threshold of 2.0"),
        (["in.mkv", "--strip", "nowhere/strip.png"], "nowhere"),
    ):
        if arguments[0] == "in.mkv":
            written(folder / "in.mkv", 1)
        assert main(["scenes", *arguments]) == 2
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and message in errors[0]


def test_help_does_not_wait_for_torch():
    code = "import sys; from m3ddm_core.__main__ import main; sys.modules['torch'] = None; main(['scenes', '--help'])"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0 and "--strip" in answer.stdout


def outpaint(*more):
    usual = ["--ratio", "1:1", "--canvas-size", "64", "--preset", "fast", "--steps", "1", "--format", "ffv1"]
    code = main(["outpaint", "in.mkv", "out.mkv", *MODELS, *usual, "--seen", "off", *more])
    return None if code else torch.stack(list(FileSource("out.mkv").frames()))


def test_a_scene_is_made_again_alone(folder, capsys):
    """Of two scenes of two frames the other comes from the journal, which a board keeps."""
    written(folder / "in.mkv", 2, 2)
    board = {"cuts": [2], "scenes": [{"first": 0}, {"first": 2}]}
    (folder / "board.json").write_text(json.dumps(board))
    before = outpaint("--board", "board.json")
    assert len(list((folder / ".out.mkv.journal").iterdir())) == 6, "of each a clip, the latents and what is written"
    capsys.readouterr()
    board["scenes"][1] |= {"seed": 11, "anchor": [0.25, 0.5]}
    (folder / "board.json").write_text(json.dumps(board))
    after = outpaint("--board", "board.json", "--overwrite")
    assert "clips that an earlier run had finished: 1" in capsys.readouterr().err
    assert torch.equal(before[:2], after[:2]) and not torch.equal(before[2:], after[2:])


def test_redoing_a_scene_is_one_scenes_work_and_no_other_byte_changes(folder, monkeypatch):
    """From file to file: what is encoded to latents, sampled, decoded, and each packet of what is written."""
    written(folder / "in.mkv", 3, size=(96, 64))
    asked, done = ["--format", "hevc", "--bit-depth", "10", "--canvas-size", "64", "--seen", "off"], Counter()
    for name in ("encode", "decode"):
        through = getattr(VAE, name)
        monkeypatch.setattr(VAE, name, counting(done, name, through, lambda given: len(given)))
    monkeypatch.setattr(M3DDMUNet, "forward", counting(done, "network", M3DDMUNet.forward, lambda given: 1))

    def outpaint(target, scenes, *more):
        done.clear()
        Path("board.json").write_text(json.dumps({"cuts": [LENGTH, 2 * LENGTH], "scenes": scenes}))
        usual = ["--ratio", "2:1", "--preset", "fast", "--steps", "1", "--board", "board.json"]
        assert main(["outpaint", "in.mkv", target, *MODELS, *usual, *asked, *more]) == 0
        return packets(target), dict(done)

    before, whole = outpaint("out.mp4", [])
    after, again = outpaint("out.mp4", [{"first": LENGTH, "seed": 7}], "--overwrite")
    assert again == {name: count // 3 for name, count in whole.items()} and set(whole) == {*done}
    changed = [
        number
        for number in range(3)
        for own in [slice(number * LENGTH, (number + 1) * LENGTH)]
        if before[own] != after[own]
    ]
    assert changed == [1] and len(before) == len(after) == 3 * LENGTH
    same, nothing = outpaint("out.mp4", [{"first": LENGTH, "seed": 7}], "--overwrite")
    assert nothing == {} and same == after
    _, all_of_it = outpaint("plain.mp4", [{"first": LENGTH, "seed": 7}], "--no-journal")
    assert all_of_it == whole and Path("plain.mp4").read_bytes() == Path("out.mp4").read_bytes()
    assert not Path(".plain.mp4.journal").exists() and Path(".out.mp4.journal").exists()


def counting(done, name, through, count):
    def counted(self, given, *more, **options):
        done[name] += count(given)
        return through(self, given, *more, **options)

    return counted


def packets(path):
    with av.open(path) as container:
        stream = container.streams.video[0]
        return [
            (packet.pts, packet.dts, packet.duration, packet.is_keyframe, bytes(packet))
            for packet in container.demux(stream)
            if packet.size
        ]


BAD = {
    "gone": (None, "got the board board.json, where no file lies; `scenes --board` writes one"),
    "no JSON": ("{", "got a board that is no JSON"),
    "no text": ("\udcff", "got board.json, which is not text in UTF-8"),
    "no guide": ('{"scenes": [{"first": 0, "guides": {"0": "gone.png"}}]}', "got the guide 'gone.png' in"),
    "no scene": ('{"scenes": [{"first": 5}]}', "got a scene that begins at frame 5 in the board"),
    "a broken guide": (
        '{"scenes": [{"first": 0, "guides": {"0": "board.json"}}]}',
        "the board's scene at frame 0: got",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_board_that_cannot_be_used_is_told_in_a_line(kind, folder, capsys):
    text, message = BAD[kind]
    written(folder / "in.mkv", FEW)
    if text is not None:
        (folder / "board.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    assert outpaint("--board", "board.json") is None
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and message in errors[0]
    assert not (folder / "out.mkv").exists()


def test_a_board_is_for_one_video(folder, capsys):
    (folder / "list.txt").write_text("in.mkv\n")
    assert main(["outpaint", "list.txt", "out", *MODELS, "--ratio", "1:1", "--board", "board.json"]) == 2
    assert "error: got --board for list.txt, expected it for one video" in capsys.readouterr().err
