"""``python -m m3ddm_core outpaint``: the demonstration's models on a few frames, and what it says of bad input."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from m3ddm_core.__main__ import main
from m3ddm_core.command.settings import SAMPLING
from m3ddm_core.sampling.settings import SamplingSettings
from m3ddm_core.video.file import FileSource
from m3ddm_core.video.source import TensorSource
from m3ddm_core.video.writer import write_video
from tests.helpers.manifests import ended

pytestmark = pytest.mark.usefixtures("small_globals")

ROOT = Path(__file__).resolve().parents[2]
MODELS = ["--checkpoint", str(ROOT / "models" / "m3ddm_demo.safetensors")]
MODELS += ["--vae", str(ROOT / "models" / "m3ddm_demo_vae.safetensors")]


@pytest.fixture
def clip(tmp_path):
    frames = torch.rand(1, 6, 4, 3, generator=torch.Generator().manual_seed(0))
    frames = frames.repeat_interleave(8, 1).repeat_interleave(8, 2).expand(4, -1, -1, -1)
    source = TensorSource(frames, Fraction(25))
    write_video(tmp_path / "in.mp4", source.frames(), source.info)
    return tmp_path / "in.mp4"


def test_a_video_is_outpainted(clip, tmp_path, capsys):
    target = tmp_path / "out.mp4"
    arguments = [
        "--pixels",
        "8",
        "0",
        "8",
        "0",
        "--canvas-size",
        "64",
        "--steps",
        "1",
        "--preset",
        "fast",
        "--seed",
        "3",
    ]
    assert main(["outpaint", str(clip), str(target), *MODELS, *arguments]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(target)
    assert "clip 1 of 1" in said.err and "finishing frame 4 of 4" in said.err
    assert FileSource(str(target)).info.size == (48, 48)


def test_edges_are_taken_off_first_and_another_kind_of_file_is_written(clip, tmp_path):
    target = tmp_path / "out.mkv"
    asked = ["--pixels", "8", "0", "8", "0", "--canvas-size", "64", "--steps", "1", "--preset", "fast"]
    asked += ["--crop", "8", "0", "0", "0", "--format", "ffv1", "--bit-depth", "10", "--feather", "0"]
    assert main(["outpaint", str(clip), str(target), *MODELS, *asked]) == 0
    written = FileSource(str(target))
    assert written.info.size == (48, 40) and written.info.bit_depth == 10
    for ours, own in zip(written.frames(), FileSource(str(clip)).frames(), strict=True):
        assert (ours[:, 8:-8] - own[8:]).abs().max() < 1 / 1023, "ten bits of what the source has"


@pytest.mark.parametrize("without", [[], ["--no-journal"]], ids=["journal", "no journal"])
def test_the_same_command_goes_on_after_it_was_stopped(without, clip, tmp_path, monkeypatch, capsys):
    """The first time it is stopped when all is sampled and the first frame is written."""
    target, journal = tmp_path / "out.mp4", tmp_path / ".out.mp4.journal"
    arguments = ["outpaint", str(clip), str(target), *MODELS, "--ratio", "1:1", "--canvas-size", "64", *without]

    def stop(*rest, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("m3ddm_core.pipeline.write_shots", stop)
        assert main(arguments) == 130
    said = capsys.readouterr().err
    assert not target.exists()
    if without:
        assert "interrupted; nothing was written" in said and not journal.exists()
    else:
        assert "interrupted; the same command goes on from here" in said and len(list(journal.iterdir())) == 3, (
            "a clip, a look and the scene"
        )
    assert main(arguments) == 0
    assert ("clips that an earlier run had finished: 1" in capsys.readouterr().err) == (not without)
    assert target.exists() and not journal.exists(), "a finished video needs none"


def test_every_flat_setting_has_an_argument():
    assert {name: type(value) for name, value in SamplingSettings().flat().items()} == SAMPLING


def test_help_does_not_wait_for_torch():
    code = "import sys; from m3ddm_core.__main__ import main; sys.modules['torch'] = None; main(['outpaint', '--help'])"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0 and "--colour-match" in answer.stdout


BAD = {
    "missing": (["gone.mp4", "out.mp4"], "got gone.mp4, where no file lies; expected a video file"),
    "folder": ([".", "out.mp4"], "got out.mp4 to write the videos of . to, expected a folder"),
    "no video": (["text.mp4", "out.mp4"], "text.mp4, which cannot be read"),
    "onto itself": (["in.mp4", "in.mp4", "--overwrite"], "for both input and output"),
    "exists": (["in.mp4", "there.mp4"], "got there.mp4, which exists, expected a new name; overwrite replaces it"),
    "no folder": (["in.mp4", "nowhere/out.mp4"], "expected the folder nowhere to exist; make it first"),
    "name too long": (
        ["in.mp4", "x" * 252 + ".mp4"],
        "could not be written: File name too long; nothing of it was kept",
    ),
    "no text": (["in.mp4", "\ud800.mp4"], "its name holds what is no text; take a shorter name of plain letters"),
    "no mp4": (["in.mp4", "out.gif"], "got out.gif to write to, expected the name of an .mp4 or .mov or .mkv file"),
    "another kind": (
        ["in.mp4", "out.mp4", "--format", "prores"],
        "got out.mp4 to write to, expected the name of an .mov or .mkv file for the format prores; --format h264",
    ),
    "no folder of pictures": (
        ["in.mp4", "text.mp4", "--format", "png"],
        "expected the name of a folder for the format",
    ),
    "eight bits": (["in.mp4", "out.mov", "--format", "prores", "--bit-depth", "8"], "got a bit depth of 8 for prores"),
    "cropped away": (["in.mp4", "out.mp4", "--crop", "20", "20", "0", "0"], "got a crop of 20 above, 20 below"),
    "no ratio": (["in.mp4", "out.mp4", "--ratio", "wide"], "got the ratio 'wide', expected width:height"),
    "no network": (["in.mp4", "out.mp4", "--checkpoint", "gone.safetensors"], "gone.safetensors"),
    "another network": (["in.mp4", "out.mp4", "--checkpoint", "MODELS/m3ddm_demo_vae.safetensors"], "m3ddm_demo_vae"),
    "another vae": (["in.mp4", "out.mp4", "--vae", "MODELS/m3ddm_demo.safetensors"], "got no autoencoder"),
    "no preset": (["in.mp4", "out.mp4", "--preset", "quick"], "got the preset 'quick', expected one of checkpoint"),
    "no sampler": (["in.mp4", "out.mp4", "--sampler", "magic"], "got the sampler 'magic', expected one of pndm"),
    "odd sides": (
        ["in.mp4", "out.mp4", "--ratio", "3:4.1", "--size-multiple", "1", "--size", "source"],
        "expected even sides",
    ),
    "wrong mask": (["in.mp4", "out.mp4", "--source-mask", "mask.png"], "got a source mask of 16x16, expected 32x48"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_told_in_a_line(kind, clip, tmp_path, monkeypatch, capsys):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    Path("text.mp4").write_text("no video")
    Path("there.mp4").write_bytes(b"there")
    Image.new("L", (16, 16), 255).save("mask.png")
    before = sorted(path.name for path in tmp_path.iterdir())
    arguments, message = BAD[kind]
    arguments = [argument.replace("MODELS", str(ROOT / "models")) for argument in arguments]
    usual = [] if "--ratio" in arguments else ["--ratio", "1:1"]
    assert main(["outpaint", *arguments[:2], *MODELS, *usual, "--canvas-size", "64", *arguments[2:]]) == 2
    said = capsys.readouterr().err.splitlines()
    errors = [line for line in said if line.startswith("error: ")]
    assert len(errors) == 1 and message in errors[0], said
    assert said[-1] == errors[0], "one line, and nothing after it"
    assert sorted(path.name for path in tmp_path.iterdir()) == before and Path("there.mp4").read_bytes() == b"there"


def test_a_folder_of_videos_goes_to_a_folder(clip, tmp_path, capsys):
    """Three videos, a table with a shape for one of them, and one that is broken; then again, with --resume."""
    videos, out = tmp_path / "videos", tmp_path / "results"
    (videos / "more").mkdir(parents=True)
    for name in ("a.mp4", "more/b.mov"):
        (videos / name).write_bytes(clip.read_bytes())
    (videos / "broken.mp4").write_text("no video")
    usual = [*MODELS, "--ratio", "1:1", "--canvas-size", "64", "--preset", "fast", "--steps", "1"]
    assert main(["outpaint", str(videos), str(out), *usual]) == 1
    said = capsys.readouterr()
    assert "2 of 3 videos made, 1 not; see" in said.out and "not made: " in said.err and "broken.mp4" in said.err
    assert FileSource(str(out / "a.mp4")).info.size == (32, 32) == FileSource(str(out / "more" / "b.mp4")).info.size
    assert sorted(path.name for path in out.iterdir()) == ["a.mp4", "manifest.jsonl", "more"]
    entries = ended(out)
    assert [entry["outcome"] for entry in entries] == ["done", "failed", "done"] and entries[0]["frames"] == 4
    assert entries[0]["settings"]["ratio"] == "1:1" and "which cannot be read" in entries[1]["error"]

    assert main(["outpaint", str(videos), str(out), *usual]) == 2
    assert "which holds an earlier run's results; --resume goes on with it" in capsys.readouterr().err
    (videos / "broken.mp4").write_bytes(clip.read_bytes())
    made = (out / "a.mp4").stat().st_mtime_ns
    assert main(["outpaint", str(videos), str(out), *usual, "--resume"]) == 0
    assert "1 of 3 videos made, 2 by an earlier run, 0 not" in capsys.readouterr().out
    assert (out / "a.mp4").stat().st_mtime_ns == made and (out / "broken.mp4").exists()

    (tmp_path / "table.csv").write_text("source,pixels,seed\nvideos/a.mp4,8 0 8 0,7\nvideos/more/b.mov,,\n")
    assert main(["outpaint", str(tmp_path / "table.csv"), str(tmp_path / "other"), *usual]) == 0
    assert FileSource(str(tmp_path / "other" / "a.mp4")).info.size == (48, 48)
    entries = ended(tmp_path / "other")
    assert entries[0]["settings"]["pixels"] == [8, 0, 8, 0] and entries[0]["settings"]["ratio"] is None
    assert entries[1]["settings"]["ratio"] == "1:1"


def test_resume_goes_on_in_the_middle_of_a_video_and_replaces_no_file_of_others(clip, tmp_path, monkeypatch, capsys):
    videos, out = tmp_path / "videos", tmp_path / "results"
    (videos / "more").mkdir(parents=True)
    (out / "more").mkdir(parents=True)
    for name in ("a.mp4", "more/b.mp4"):
        (videos / name).write_bytes(clip.read_bytes())
    (out / "more" / "b.mp4").write_text("somebody's own")
    arguments = ["outpaint", str(videos), str(out), *MODELS, "--ratio", "1:1", "--canvas-size", "64"]

    def stop(*rest, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("m3ddm_core.pipeline.write_shots", stop)
        assert main([*arguments, "--resume"]) == 130
    assert "the same command with --resume goes on from here" in capsys.readouterr().err
    for _ in range(2):
        assert main([*arguments, "--resume"]) == 1
        assert "which exists, expected a new name" in capsys.readouterr().err
        assert (out / "more" / "b.mp4").read_text() == "somebody's own"
    entries = ended(out)
    assert [entry["outcome"] for entry in entries] == ["done", "failed", "failed"]
    assert entries[0]["clips_of_an_earlier_run"] == 1


def test_one_video_goes_on_without_resume(clip, tmp_path, capsys):
    assert main(["outpaint", str(clip), str(tmp_path / "out.mp4"), *MODELS, "--ratio", "1:1", "--resume"]) == 2
    assert "expected it for many videos" in capsys.readouterr().err
