"""The front door: frames in, frames out; file in, file out; with models that answer at once."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

import m3ddm_core
from m3ddm_core.canvas.framing import Framing
from m3ddm_core.frames import NonFiniteFrames
from m3ddm_core.journal.digest import Unidentified
from m3ddm_core.journal.store import Journal
from m3ddm_core.models import Models, load_models, load_network
from m3ddm_core.pipeline import Guides, Options, outpaint_file, outpaint_frames, outpaint_source, read_mask
from m3ddm_core.sampling.advice import Advice
from m3ddm_core.sampling.pndm import require_steps
from m3ddm_core.sampling.settings import CheckpointSettings, SamplingSettings
from m3ddm_core.seen.look import look_around
from m3ddm_core.vae import load_vae
from m3ddm_core.video.file import FileSource
from m3ddm_core.video.source import TensorSource
from m3ddm_core.video.writer import write_video
from tests.helpers.filmed import filmed, painted, pan

ROOT = Path(__file__).resolve().parents[2]
SIZE = (32, 48)


def encode(frames):
    """Mean colours of 8x8 blocks, and a fourth channel of zeros."""
    means = torch.nn.functional.avg_pool2d(frames.movedim(-1, 1), 8)
    return torch.cat([means, torch.zeros_like(means[:, :1])], dim=1)


def decode(latents):
    return latents[:, :3].repeat_interleave(8, -1).repeat_interleave(8, -2).movedim(1, -1)


def models(calls=None):
    """Sampling leaves the start latents as they are, and is told of in ``calls``."""

    def sampler(settings, seed):
        def sample(conditions, start, noise, callback):
            if calls is not None:
                calls.append((settings.steps, settings.denoise, seed, len(start), start.shape[-1] * 8, conditions.fps))
            callback(0, 1, start)
            return start

        return sample

    return Models(encode, decode, sampler, lambda settings, height, width: settings.clips_per_batch or 1)


def clip(frames=20):
    draw = torch.rand(1, 3, 6, 8 + frames, generator=torch.Generator().manual_seed(0))
    wide = torch.nn.functional.interpolate(draw, (SIZE[1], SIZE[0] + frames), mode="bilinear")[0]
    return torch.stack([wide[:, :, n : n + SIZE[0]] for n in range(frames)]).movedim(1, -1)


@pytest.fixture
def file(tmp_path):
    """20 frames of 32x48 at 25 a second, with a tone."""
    source = TensorSource(clip(), Fraction(25), torch.linspace(-0.5, 0.5, 8 * 800).expand(1, -1), 8000)
    write_video(tmp_path / "in.mp4", source.frames(), source.info, source.sound)
    return tmp_path / "in.mp4"


FRAMING = Framing(ratio="1:1", canvas_size=48)


def test_the_front_door_loads_what_is_used_and_no_more():
    for use, loaded in (("__all__", "False"), ("SamplingSettings", "True")):
        code = f"import sys, m3ddm_core; m3ddm_core.{use}; print('torch' in sys.modules)"
        answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert answer.stdout.strip() == loaded
    for name in m3ddm_core.__all__:
        assert getattr(m3ddm_core, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'outpaint_film'"):
        m3ddm_core.outpaint_film  # noqa: B018


def test_frames_come_back_wider_with_their_own_pixels_kept():
    frames, seen = clip(), []
    result = outpaint_frames(
        frames, models(), FRAMING.place(SIZE), 25.0, blending={"feather": 0}, on_progress=seen.append
    )
    assert result.shape == (20, 48, 48, 3)
    torch.testing.assert_close(result[:, :, 8:40], frames)
    assert (seen[-1].done, seen[-1].total) == (2, 2)


def test_guides_are_known_and_pictures_are_what_is_started_from():
    frames, placement = clip(), FRAMING.place(SIZE)
    white = torch.ones(20, 48, 48, 3)
    guided = outpaint_frames(frames, models(), placement, 25.0, guides=Guides(white[:1], "0"))
    assert (guided[0, :, :4] > 0.99).all() and (guided[1, :, :4] < 0.99).all()
    started = outpaint_frames(frames, models(), placement, 25.0, pictures=white)
    assert (started[:, :, :4] > 0.99).all()


def test_what_is_masked_of_the_source_is_made_anew():
    frames, mask = clip(), torch.zeros(1, 48, 32)
    mask[:, 16:32, 8:24] = 1
    result = outpaint_frames(frames, models(), FRAMING.place(SIZE), 25.0, source_mask=mask, blending={"feather": 0})
    inside = result[:, 20:28, 20:28]
    assert not torch.allclose(inside, frames[:, 20:28, 12:20], atol=0.01)
    torch.testing.assert_close(result[:, :8, 8:40], frames[:, :8])


def test_a_file_and_its_frames_come_out_alike(file, tmp_path):
    calls, told = [], []
    options = Options(FRAMING, SamplingSettings(3, clips_per_batch=4), seed=7)
    finished = outpaint_file(file, tmp_path / "out.mp4", models(calls), options, report=told.append)
    source, written = FileSource(str(file)), FileSource(str(tmp_path / "out.mp4"))
    frames = torch.stack(list(source.frames()))
    expected = outpaint_frames(frames, models(), FRAMING.place(SIZE), 25.0)
    torch.testing.assert_close(torch.stack(list(finished.frames())), expected)
    assert written.info.size == (48, 48) and written.info.timeline.times == source.info.timeline.times
    assert (torch.stack(list(written.frames())) - expected).abs().mean() < 0.05
    assert written.sound is not None and calls == [(3, 1.0, 7, 1, 48, 25)] * 2
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    shares = [standing.share for standing in told]
    begun = next(i for i, standing in enumerate(told) if standing.text.startswith("finishing frame 1 "))
    assert shares[:begun] == sorted(shares[:begun]) and shares[begun:] == sorted(shares[begun:]) and shares[-1] == 1
    assert told[0].text == "looking through the video, frame 1"


def test_scenes_and_a_second_pass():
    calls = []
    source = TensorSource(torch.cat([clip(12), 1 - clip(10)]), Fraction(25))
    framing = Framing(ratio="1:1", canvas_size=24)
    options = Options(framing, SamplingSettings(2), second_pass=48, second_denoise=0.25)
    finished = outpaint_source(source, models(calls), options)
    assert [len(scene) for scene in finished.scenes] == [12, 10]
    assert [call[:5] for call in calls] == [(2, 1.0, 0, 1, 24)] * 2 + [(2, 0.25, 0, 1, 48)] * 2
    one = outpaint_source(source, models(), Options(framing, cut_threshold=None))
    assert [len(scene) for scene in one.scenes] == [22]


def test_what_is_left_open_is_the_checkpoints_to_say():
    calls, source = [], TensorSource(clip(12), Fraction(25))
    advice = Advice(SamplingSettings(4), canvas_size=24)
    advised = replace(models(calls), advice=advice)
    finished = outpaint_source(source, advised, Options(Framing(ratio="1:1")))
    outpaint_source(source, advised, Options(Framing(ratio="1:1", canvas_size=48), SamplingSettings(3)))
    outpaint_source(source, advised, Options(Framing(ratio="1:1"), CheckpointSettings({"denoise": 0.5})))
    outpaint_frames(clip(12), advised, finished.scenes[0].placement, 25.0)
    assert [(steps, denoise, canvas) for steps, denoise, _, _, canvas, _ in calls] == [
        (4, 1.0, 24),
        (3, 1.0, 48),
        (4, 0.5, 24),
        (4, 1.0, 24),
    ]


def test_clips_are_kept_for_the_next_run_of_a_network_that_can_be_told_from_others(tmp_path, caplog):
    calls, source, journal = [], TensorSource(clip(), Fraction(25)), Journal(tmp_path / "journal")
    options = Options(FRAMING, SamplingSettings(3), journal=journal)
    known = replace(models(calls), recipe=lambda settings, seed: f"{settings.denoise} {seed}")
    first = torch.stack(list(outpaint_source(source, known, options).frames()))
    assert len(calls) == 2
    told = []
    again = torch.stack(list(outpaint_source(source, known, options, report=told.append).frames()))
    assert torch.equal(again, first) and len(calls) == 2 and journal.taken == 2
    assert any(standing.text.startswith("clip 2 of 2") for standing in told)
    outpaint_source(source, known, replace(options, seed=1))
    assert len(calls) == 4
    outpaint_source(source, models(calls), replace(options, journal=Journal(tmp_path / "other")))
    assert not (tmp_path / "other").exists() and "it cannot be told from others" in caplog.text


def test_the_recipe_of_a_loaded_network_is_its_file_its_precision_and_the_settings(tmp_path):
    demo, vae = ROOT / "models" / "m3ddm_demo.safetensors", load_vae(ROOT / "models" / "m3ddm_demo_vae.safetensors")
    copy = shutil.copyfile(demo, tmp_path / "copy.safetensors")

    def recipe(path, dtype=torch.float32, settings=SamplingSettings(), seed=0):  # noqa: B008
        return load_models(load_network(path, dtype=dtype), vae).recipe(settings, seed)

    usual = recipe(demo)
    assert recipe(copy) == usual
    others = {recipe(demo, torch.bfloat16), recipe(demo, settings=SamplingSettings(3)), recipe(demo, seed=1)}
    assert len(others | {usual}) == 4
    with pytest.raises(Unidentified, match="not loaded from a file"):
        load_models(load_network(demo).network, vae).recipe(SamplingSettings(), 0)


def test_a_loaded_network_brings_its_advice_along():
    network = load_network(ROOT / "models" / "m3ddm_demo.safetensors")
    vae = load_vae(ROOT / "models" / "m3ddm_demo_vae.safetensors")
    advice = load_models(network, vae).advice
    assert (advice.sampling.steps, advice.canvas_size) == (2, 128)
    assert load_models(network.network, vae).advice == Advice(), "it is the file that says so, not the network"


def test_first_frames_take_a_mask_of_the_whole(file, tmp_path):
    mask = torch.zeros(20, 48, 32)
    mask[:, :8] = 1
    finished = outpaint_file(file, tmp_path / "o.mp4", models(), Options(FRAMING), first_frames=5, source_mask=mask)
    assert len(finished.info.timeline) == 5


def test_a_mask_is_read_from_a_picture(tmp_path):
    from PIL import Image

    picture = Image.new("RGB", (4, 2))
    picture.paste((255, 255, 255), (0, 0, 1, 2))
    picture.save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png").tolist() == [[[1, 0, 0, 0]] * 2]


def test_a_stop_on_the_way_leaves_nothing_and_keeps_what_was_there(file, tmp_path):
    target = tmp_path / "out.mp4"
    target.write_bytes(b"before")

    def stop(standing):
        if standing.text.startswith("finishing frame 3 "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outpaint_file(file, target, models(), Options(FRAMING), overwrite=True, report=stop)
    assert target.read_bytes() == b"before" and {path.name for path in tmp_path.iterdir()} == {"in.mp4", "out.mp4"}


def test_a_full_disk_is_told_by_the_files_own_name(file, tmp_path, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("m3ddm_core.video.whole.os.fsync", full)
    with pytest.raises(
        OSError, match=r"out\.mp4 could not be written: No space left .*; nothing of it was kept: free some space"
    ):
        outpaint_file(file, tmp_path / "out.mp4", models(), Options(FRAMING))
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_the_vae_cannot_decode_is_named_and_no_video(file, tmp_path, value):
    def spoiled(latents):
        """Frame 13 of the video, whether the VAE is given all at once or some at a time."""
        frames = decode(latents)
        seen.append(len(frames))
        if sum(seen) > 13:
            frames[13 - sum(seen)] = value
        return frames

    message = r"got NaN or infinity .* in frame 13, expected colours.* nothing of it was kept\. Load the VAE in float32"
    with pytest.raises(NonFiniteFrames, match=message):
        seen = []
        outpaint_file(file, tmp_path / "out.mp4", replace(models(), decode=spoiled), Options(FRAMING))
    with pytest.raises(NonFiniteFrames, match=message):
        seen = []
        outpaint_frames(clip(), replace(models(), decode=spoiled), FRAMING.place(SIZE), 25.0)
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4"}


def test_what_is_asked_is_refused_by_its_own_name_before_sampling(file, tmp_path, monkeypatch):
    calls = []

    def sampler(settings, seed):
        require_steps(settings.steps, settings.denoise)
        return models(calls).sampler(settings, seed)

    def refused(options, message):
        with pytest.raises(ValueError, match=message):
            outpaint_file(file, tmp_path / "out.mp4", replace(models(), sampler=sampler), options)

    refused(Options(FRAMING, second_pass=1), "got second_pass=1, expected a whole number, 8 or more")
    refused(Options(FRAMING, second_pass=100), "got second_pass=100, expected a multiple of 8")
    refused(Options(FRAMING, second_pass=48, second_denoise=0.0), "denoise=0.0; expected at least one step")
    refused(Options(FRAMING, blending={"feather": -1}), "got feather=-1")
    refused(Options(FRAMING, blending={"resampling": "magic"}), "magic")
    refused(Options(FRAMING, second_pass=4096), "got second_pass=4096, expected 2048 pixels at most")
    refused(Options(Framing(ratio=None, pixels=(16354, 0, 0, 0))), "got a target of 16386x48")
    monkeypatch.setattr("m3ddm_core.canvas.limits.memory_of_machine", lambda: 10**5)
    refused(Options(FRAMING), "got a target of 48x48, which takes about 0.0 GB")
    with pytest.raises(ValueError, match="got 20 frames of 48x48, all in memory at once"):
        outpaint_frames(clip(), models(calls), FRAMING.place(SIZE), 25.0)
    assert calls == []


def test_odd_sides_are_refused_before_sampling(file, tmp_path):
    calls = []
    options = Options(Framing(ratio=None, pixels=(1, 0, 0, 0), canvas_size=48, size_multiple=1))
    with pytest.raises(ValueError, match="got frames of 33x48, expected even sides"):
        outpaint_file(file, tmp_path / "out.mp4", models(calls), options)
    assert calls == []


SEEN_FRAMING = Framing(ratio=None, pixels=(16, 0, 16, 0), canvas_size=96)


def border_error(film, finished):
    """Mean absolute error of the border, of finished frames (n, 64, 96, 3)."""
    error = (finished - film.whole).abs().mean(-1)
    return torch.cat([error[..., :16], error[..., 80:]], dim=-1).mean().item()


def test_what_other_frames_have_filmed_is_started_from_and_laid_over():
    film = pan(1.4, 16)
    placement = SEEN_FRAMING.place((64, 64))
    seen = look_around(film.source, placement)
    plain = outpaint_frames(film.source, models(), placement, 25.0)
    errors = {"off": border_error(film, plain)}
    for use in ("start", "layer", "both"):
        result = outpaint_frames(film.source, models(), placement, 25.0, seen=seen, seen_use=use)
        errors[use] = border_error(film, result)
    assert seen.share > 0.2
    # The start alone goes through the autoencoder, here blocks of 8x8 pixels.
    assert errors["start"] < 0.9 * errors["off"] and errors["layer"] < 0.95 * errors["off"], errors
    assert errors["both"] < errors["layer"]
    hard = {"feather": 0}
    result = outpaint_frames(film.source, models(), placement, 25.0, seen=seen, seen_use="layer", blending=hard)
    picture = seen.on_target(15, film.source.__getitem__)
    assert torch.equal(result[15][picture.known], picture.pixels[picture.known])
    assert torch.equal(result[:, :, 16:80], film.source)


def test_a_file_is_looked_around_in_as_its_frames_are():
    film = pan(1.4, 16)
    source, told = TensorSource(film.source, Fraction(25)), []
    options = Options(SEEN_FRAMING, seen="both")
    finished = outpaint_source(source, models(), options, report=told.append)
    frames = torch.stack(list(finished.frames()))
    seen = look_around(film.source, SEEN_FRAMING.place((64, 64)))
    expected = outpaint_frames(film.source, models(), SEEN_FRAMING.place((64, 64)), 25.0, seen=seen)
    # Frames around are kept as bytes.
    torch.testing.assert_close(frames, expected, atol=1.5 / 255, rtol=0)
    torch.testing.assert_close(torch.stack(list(finished.part(5, 9).frames())), frames[5:9])
    assert any(standing.text == "looking around, frame 16 of 16" for standing in told)
    shares = [standing.share for standing in told]
    assert shares == sorted(shares)


def test_a_still_camera_is_bit_equal_to_no_looking_around():
    still = filmed(painted(4), [(200, 120, 1, 0)] * 10)
    for use in ("start", "both"):
        source = TensorSource(still.source, Fraction(25))
        plain, looked = (
            torch.stack(list(outpaint_source(source, models(), Options(SEEN_FRAMING, seen=one)).frames()))
            for one in ("off", use)
        )
        assert torch.equal(plain, looked)


def test_beside_a_source_mask_a_video_is_made_without_seen_pixels(caplog):
    film, mask = pan(1.4, 20), torch.zeros(1, 64, 64)
    mask[:, 20:40, 20:40] = 1
    source, made = TensorSource(film.source, Fraction(25)), []
    with caplog.at_level("INFO"):
        for use in ("off", "both"):
            finished = outpaint_source(source, models(), Options(SEEN_FRAMING, seen=use), source_mask=mask)
            made.append(torch.stack(list(finished.frames())))
    assert torch.equal(*made) and "a source mask is given" in caplog.text


def test_seen_pixels_and_a_source_mask_do_not_go_together():
    frames, mask = clip(), torch.ones(1, 48, 32)
    seen = look_around(frames, FRAMING.place(SIZE))
    with pytest.raises(ValueError, match="got a source mask and seen pixels, expected one of the two"):
        outpaint_frames(frames, models(), FRAMING.place(SIZE), 25.0, source_mask=mask, seen=seen, seen_use="layer")
    with pytest.raises(ValueError, match="got seen='all', expected one of off, start, layer, both"):
        outpaint_source(TensorSource(frames, Fraction(25)), models(), Options(FRAMING, seen="all"))
