"""Scenes that an earlier run has finished: of what decides them nothing may change, and then nothing is done again."""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from m3ddm_core.canvas.framing import Framing
from m3ddm_core.journal.digest import Unidentified
from m3ddm_core.journal.pieces import pieces_in
from m3ddm_core.journal.store import BULKY, Journal
from m3ddm_core.models import Models
from m3ddm_core.pipeline import Options, outpaint_source
from m3ddm_core.sampling.settings import SamplingSettings
from m3ddm_core.video.board import Board, Decision
from m3ddm_core.video.source import TensorSource
from m3ddm_core.video.writer import write_shots
from tests.helpers.block_vae import BlockVAE
from tests.helpers.many_scenes import LENGTH, many_scenes

SCENES, CHOSEN = 3, 1
FIRST = CHOSEN * LENGTH
OPTIONS = Options(
    Framing(ratio="1:1", canvas_size=48),
    SamplingSettings(1),
    seed=3,
    blending={"feather": 2, "colour_match": "steady", "blend": "gradient"},
)


class Run:
    """A run over one video, with a journal in ``folder``; what it asked of the networks, and what it made."""

    def __init__(self, folder, source=None, mask=None, vae="a vae", network="a network", **changed):
        self.encoded, self.decoded, self.sampled, self.told, self.strides = 0, 0, [], [], []
        self.journal = Journal(folder) if folder else None
        options = replace(OPTIONS, journal=self.journal, **changed)
        models = Models(
            self.encode,
            self.decode,
            self.sampler,
            lambda settings, height, width: settings.clips_per_batch or 1,
            recipe=lambda settings, seed: f"{network} {settings.denoise} {settings.steps} {seed}",
            vae_recipe=(lambda: vae) if isinstance(vae, str) else vae,
        )
        finished = outpaint_source(
            source or many_scenes(SCENES), models, options, source_mask=mask, report=self.told.append
        )
        self.before_finishing = self.decoded
        self.frames = torch.stack(list(finished.frames()))
        self.decoded, file = 0, io.BytesIO()
        write_shots(file, finished.shots(), finished.info, pieces=pieces_in(self.journal))
        self.file = file.getvalue()

    def encode(self, frames):
        self.encoded += len(frames)
        return BlockVAE.encode(frames).contiguous(memory_format=torch.channels_last)

    def decode(self, latents):
        self.decoded += len(latents)
        self.strides.append(latents.stride())
        return BlockVAE.decode(latents)

    def sampler(self, settings, seed):
        def sample(conditions, start, noise, callback):
            self.sampled.append(seed)
            result = start + 0.2 * noise
            callback(0, 1, result)
            return result

        return sample

    @property
    def work(self):
        return self.encoded, len(self.sampled), self.before_finishing

    def changed_from(self, other):
        pairs = zip(self.frames.split(LENGTH), other.frames.split(LENGTH), strict=True)
        return [number for number, pair in enumerate(pairs) if not torch.equal(*pair)]


@pytest.fixture(params=[{}, {"second_pass": 64}, {"seen": "both"}], ids=["once", "twice", "seen"])
def asked(request):
    return request.param


def test_redoing_one_scene_encodes_samples_and_decodes_one(tmp_path, asked):
    whole = Run(tmp_path, **asked)
    passes = 2 if "second_pass" in asked else 1
    assert whole.journal.taken == 0 and len(whole.sampled) == passes * SCENES
    again = Run(tmp_path, board=Board({FIRST: Decision(seed=4)}), **asked)
    assert again.work == tuple(part // SCENES for part in whole.work) and set(again.sampled) == {4}
    assert again.journal.taken == passes * (SCENES - 1)
    assert again.changed_from(whole) == [CHOSEN]
    alone = Run(None, board=Board({FIRST: Decision(seed=4)}), **asked)
    assert torch.equal(alone.frames, again.frames) and alone.work == whole.work
    assert again.decoded == LENGTH and alone.decoded == whole.decoded == SCENES * LENGTH, "while it was written"
    assert again.file == alone.file != whole.file


def test_nothing_is_done_where_nothing_has_changed(tmp_path, asked, caplog):
    whole = Run(tmp_path, **asked)
    caplog.set_level(logging.INFO)
    again = Run(tmp_path, **asked)
    assert again.work == (0, 0, 0) and torch.equal(again.frames, whole.frames)
    # A real VAE rounds in another way where latents lie otherwise in memory.
    assert set(again.strides) == set(whole.strides)
    assert f"taking up {SCENES} of {SCENES} scenes" in caplog.text
    plain = Run(None, **asked)
    assert plain.work == whole.work and torch.equal(plain.frames, whole.frames)
    assert again.decoded == 0 and again.file == whole.file == plain.file


def test_a_first_pass_that_is_done_is_not_done_again_for_another_second(tmp_path):
    whole = Run(tmp_path, second_pass=64)
    again = Run(tmp_path, second_pass=64, second_denoise=0.7)
    assert len(again.sampled) == SCENES and 0 < again.encoded < whole.encoded
    assert again.before_finishing == whole.before_finishing, "it begins from the first pass's pictures"
    once = Run(tmp_path)
    assert once.work == (0, 0, 0)
    assert torch.equal(once.frames, Run(None).frames)


def test_how_far_it_is_counts_only_what_there_is_to_do(tmp_path):
    Run(tmp_path)
    told = Run(tmp_path, board=Board({FIRST: Decision(seed=4)})).told
    texts = [standing.text.split(", about")[0].split(", a few")[0] for standing in told]
    assert f"scene {CHOSEN + 1} of {SCENES}, reading frame {LENGTH} of {LENGTH}" in texts
    assert f"scene {CHOSEN + 1} of {SCENES}, clip 1 of 1" in texts
    assert told[-1].share == pytest.approx(1)


def with_other_frames(number):
    """The same video, but for one value of one pixel of a frame."""
    source = many_scenes(SCENES)
    images = source.images.clone()
    images[number, 5, 5, 0] += 1e-6
    return TensorSource(images, Fraction(25))


def slower():
    return TensorSource(many_scenes(SCENES).images, Fraction(24))


def mask_of(*numbers):
    mask = torch.zeros(SCENES * LENGTH, 48, 32)
    mask[list(numbers), 10:20, 10:20] = 1
    return mask


ALL = list(range(SCENES))
DECIDES = {
    "a frame": ({"source": lambda: with_other_frames(FIRST + 3)}, [CHOSEN]),
    "the first frame": ({"source": lambda: with_other_frames(0)}, [0]),
    "the rate": ({"source": slower}, ALL),
    "the seed": ({"seed": 4}, ALL),
    "the settings": ({"settings": SamplingSettings(2)}, ALL),
    "the network": ({"network": "another"}, ALL),
    "the VAE": ({"vae": "another"}, ALL),
    "the canvas": ({"framing": Framing(ratio="1:1", canvas_size=40)}, ALL),
    "the target": ({"framing": Framing(ratio="4:3", canvas_size=48)}, ALL),
    "the fill": ({"framing": Framing(ratio="1:1", canvas_size=48, fill="telea")}, ALL),
    "the place": ({"framing": Framing(ratio="1:1", canvas_size=48, anchor="left")}, ALL),
    "a scene's place": ({"board": Board({FIRST: Decision(anchor="left")})}, [CHOSEN]),
    "a scene's seed": ({"board": Board({FIRST: Decision(seed=9)})}, [CHOSEN]),
    "a cut": ({"board": Board({}, (LENGTH, 2 * LENGTH, 2 * LENGTH + 4))}, [2, 3]),
    "what is seen": ({"seen": "start"}, ALL),
    "how it is seen": ({"seen": "known"}, ALL),
    "a mask": ({"mask": lambda: mask_of(FIRST)}, [CHOSEN]),
}


@pytest.mark.parametrize("name", DECIDES)
def test_whatever_decides_a_scene_makes_it_anew(name, tmp_path):
    if name == "the fill":
        pytest.importorskip("cv2")
    changed, anew = DECIDES[name]
    changed = {key: value() if callable(value) else value for key, value in changed.items()}
    Run(tmp_path)
    again = Run(tmp_path, **changed)
    # A clip that is the same by its latents is not sampled again, whoever encoded it.
    assert len(again.sampled) == len(anew) * (name != "the VAE")
    plain = Run(None, **changed)
    assert torch.equal(again.frames, plain.frames) and again.file == plain.file, "nothing of another was taken"
    assert again.encoded == plain.encoded * sum(LENGTH for _ in anew) // (SCENES * LENGTH) or name == "a cut"


def test_what_a_guide_shows_decides_and_not_its_name(tmp_path):
    from PIL import Image

    paths = [tmp_path / name for name in ("white.png", "copy.png", "grey.png")]
    for path, colour in zip(paths, ("white", "white", "grey"), strict=True):
        Image.new("RGB", (48, 48), colour).save(path)
    boards = [
        Board({FIRST: Decision(guides=((number, path),))}) for number, path in zip((2, -7, 2), paths, strict=True)
    ]
    folder = tmp_path / "journal"
    assert [len(Run(folder, board=board).sampled) for board in boards] == [SCENES, 0, 1]
    Image.new("RGB", (48, 48), "black").save(paths[0])
    assert len(Run(folder, board=boards[0]).sampled) == 1


def test_what_does_not_decide_the_latents_makes_none_anew(tmp_path):
    Run(tmp_path)
    for changed in (
        {"blending": {"feather": 6}},
        {"seen": "layer"},
        {"settings": SamplingSettings(1, clips_per_batch=3)},
        {"board": Board({0: Decision(leave=True), FIRST: Decision(seed=3)})},
    ):
        again = Run(tmp_path, **changed)
        assert again.work == (0, 0, 0), changed
        plain = Run(None, **changed)
        assert torch.equal(again.frames, plain.frames) and again.file == plain.file


def test_a_scene_is_known_wherever_it_stands_in_the_video(tmp_path):
    Run(tmp_path)
    images = many_scenes(SCENES).images
    other = TensorSource(torch.cat([images[FIRST : FIRST + LENGTH], images[:LENGTH]]), Fraction(25))
    assert Run(tmp_path, source=other).work == (0, 0, 0)


def entries(folder):
    """Those of clips and scenes."""
    paths = [path for path in folder.glob("*.safetensors") if BULKY not in path.name]
    return sorted(paths, key=lambda path: path.stat().st_mtime_ns)


@pytest.mark.parametrize("what", ["flipped", "cut", "gone"])
def test_an_entry_that_cannot_be_used_is_passed_over_with_one_warning(what, tmp_path, caplog):
    whole = Run(tmp_path)
    for path in entries(tmp_path):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        if what == "gone":
            path.unlink()
        else:
            path.write_bytes(content if what == "flipped" else content[:-5])
    caplog.clear()
    again = Run(tmp_path)
    assert again.work == whole.work and torch.equal(again.frames, whole.frames)
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == (what != "gone")
    assert Run(tmp_path).work == (0, 0, 0), "they were written anew"


def test_one_scene_that_is_gone_is_made_again_alone(tmp_path):
    whole = Run(tmp_path)
    entries(tmp_path)[-1].unlink()
    again = Run(tmp_path)
    assert again.encoded == whole.encoded // SCENES and not again.sampled, "its clip is still there"
    assert torch.equal(again.frames, whole.frames)


def test_long_scenes_lie_in_several_entries(tmp_path, monkeypatch):
    monkeypatch.setattr("m3ddm_core.journal.scenes.PART_BYTES", 4 * 4 * 6 * 6 * 4)
    whole = Run(tmp_path)
    assert len(entries(tmp_path)) == SCENES * (1 + 3), "a clip, and nine frames by fours"
    again = Run(tmp_path)
    assert again.work == (0, 0, 0) and torch.equal(again.frames, whole.frames)


def test_without_room_scenes_are_made_again(tmp_path, monkeypatch):
    whole = Run(tmp_path)
    Journal(tmp_path, most_bytes=0).prune()
    again = Run(tmp_path)
    assert again.work == whole.work and torch.equal(again.frames, whole.frames)


def test_a_vae_that_cannot_be_told_from_others_keeps_none(tmp_path, caplog):
    def unknown():
        raise Unidentified("this VAE is a stranger")

    caplog.set_level(logging.INFO)
    whole = Run(tmp_path, vae=unknown)
    again = Run(tmp_path, vae=unknown)
    assert again.encoded == whole.encoded and not again.sampled and again.journal.taken == SCENES
    assert "whole scenes are not kept" in caplog.text and "this VAE is a stranger" in caplog.text


def test_nothing_is_asked_of_the_networks_without_a_journal():
    def never():
        raise AssertionError

    Run(None, vae=never)


FINISHES = {
    "blending": {"blending": {"feather": 6}},
    "what is laid over": {"seen": "layer"},
    "left": {"board": Board({FIRST: Decision(leave=True)})},
    "left elsewhere": {"board": Board({FIRST: Decision(leave=True, anchor="right")})},
}


def test_whatever_finishes_a_scene_has_it_finished_anew(tmp_path):
    files = {Run(tmp_path).file}
    for name, changed in FINISHES.items():
        again, plain = Run(tmp_path, **changed), Run(None, **changed)
        assert again.sampled == [] and again.file == plain.file, name
        assert again.decoded == (0 if name.startswith("left") else SCENES * LENGTH), name
        assert Run(tmp_path, **changed).decoded == 0
        files.add(again.file)
    assert len(files) == 1 + len(FINISHES)


def test_a_part_of_a_scene_is_not_taken_for_all_of_it(tmp_path):
    Run(tmp_path)
    options, journal = replace(OPTIONS, journal=Journal(tmp_path)), Journal(tmp_path)
    models = Models(
        BlockVAE.encode,
        BlockVAE.decode,
        lambda settings, seed: None,
        lambda settings, height, width: 1,
        recipe=lambda settings, seed: f"a network {settings.denoise} {settings.steps} {seed}",
        vae_recipe=lambda: "a vae",
    )
    finished = outpaint_source(many_scenes(SCENES), models, options)
    files = []
    for part in (finished.part(0, 5), finished.part(4, FIRST + 2), finished.part(FIRST, FIRST + LENGTH)):
        for kept in (pieces_in(journal), None):
            file = io.BytesIO()
            write_shots(file, part.shots(), part.info, pieces=kept)
            files.append(file.getvalue())
    assert files[::2] == files[1::2] and len(set(files)) == 3
