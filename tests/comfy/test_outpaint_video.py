"""M3DDM Outpaint Video: the same frames as the graph of nodes, scene by scene, as a video of ComfyUI's own kind."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.filmed import pan

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "assets" / "big_buck_bunny.mp4"
ONE_STEP = {"steps": 1, "context_scale": 1.0, "global_scale": 1.0}


def by_the_graph(pack: Any, model: Any, vae: Any, frames: torch.Tensor, fps: float, settings: Any) -> torch.Tensor:
    """What the nodes of the full graph make of frames, all defaults but the canvas."""
    prepared, used = pack.prepare(frames, vae, count=16, canvas_size=64)
    (state,) = pack.run("M3DDM_EncodeContext", vae=vae, fps=fps, **prepared)
    for node, stride in (("M3DDM_SampleKeyframes", 15), ("M3DDM_SampleInterpolation", 5)):
        state = pack.run(node, model=model, state=state, seed=0, stride=stride, settings=settings)[0]
    latent = pack.run("M3DDM_SampleInfill", model=model, state=state, seed=0, settings=settings)[1]
    blending = {"feather": 8, "colour_match": "none", "resampling": "lanczos"}
    generated = vae.decode(latent["samples"])
    placement = prepared["placement"]
    return pack.run("M3DDM_Composite", source=used, generated=generated, placement=placement, **blending)[0]


def test_the_frozen_names(pack: Any) -> None:
    schema = pack.nodes["M3DDM_OutpaintVideo"].GET_SCHEMA()
    names = "target custom_ratio left top right bottom anchor offset_x offset_y canvas_size canvas_shape fill"
    names = f"model vae video {names} size_multiple first_frames seed scene_cuts cut_threshold"
    names = f"{names} feather colour_match resampling blend settings second_pass second_denoise source_mask seen"
    names = f"{names} result_size result_pixels result_megapixels fleet board"
    assert " ".join(entry.id for entry in schema.inputs) == names
    assert [entry.io_type for entry in schema.outputs] == ["VIDEO"]


def test_the_same_frames_as_the_graph_of_nodes(pack, model, vae, load_video) -> None:
    """A file through both ways: within one step of eight bits, and in fact equal."""
    settings = pack.settings(**ONE_STEP)
    video = load_video(str(CLIP))
    frames = 50  # Enough for three levels.
    options = {"settings": settings, "canvas_size": 64, "first_frames": frames, "seen": "off"}
    finished = pack.outpaint_video(model, vae, video, **options)
    ours, source = finished.get_components(), video.get_components()
    expected = by_the_graph(pack, model, vae, source.images[:frames], float(source.frame_rate), settings)
    assert (ours.images - expected).abs().max() <= 1 / 255
    assert ours.frame_rate == source.frame_rate
    assert ours.audio["sample_rate"] == source.audio["sample_rate"]


def test_the_result_has_the_size_that_is_asked_for(outpaint, components) -> None:
    """Everything after it takes the scaled source for the source: its pixels come back, and seen ones are laid over."""
    film = pan(1.4, 20)
    framing = {"target": "pixels", "left": 16, "right": 16, "canvas_size": 96, "feather": 0, "second_pass": 48}
    asked = {**framing, "result_size": "height", "result_pixels": 32}
    finished = outpaint(components(film.source), seen="layer", **asked)
    images = finished.get_components().images
    assert finished.get_dimensions() == (48, 32) and images.shape[1:3] == (32, 48)
    small = torch.stack(list(finished.video.source.frames()))
    assert small.shape[1:3] == (32, 32) and torch.equal(images[:, :, 8:40], small)
    assert finished.video.seen.placement(0).source == (32, 32)


def test_what_other_frames_have_filmed_is_laid_over_where_it_is_asked_for(outpaint, components) -> None:
    film = pan(1.4, 20)
    framing = {"target": "pixels", "left": 16, "right": 16, "canvas_size": 96}
    plain, laid = (
        outpaint(components(film.source), seen=use, **framing).get_components().images for use in ("off", "layer")
    )
    errors = [(images - film.whole).abs()[:, :, :16].mean() for images in (plain, laid)]
    assert errors[1] < 0.9 * errors[0], errors
    inside = slice(24, 72)
    assert torch.equal(laid[:, :, inside], plain[:, :, inside])


def test_each_scene_is_a_video_of_its_own(pack, model, vae, two_scenes) -> None:
    settings = pack.settings(**ONE_STEP)
    ours = pack.outpaint_video(model, vae, two_scenes, settings=settings, canvas_size=64, seen="off")
    ours = ours.get_components().images
    frames = two_scenes.get_components().images
    scenes = [by_the_graph(pack, model, vae, part, 25.0, settings) for part in (frames[:12], frames[12:])]
    assert (ours - torch.cat(scenes)).abs().max() <= 1 / 255


def test_cuts_can_be_left_alone(outpaint, two_scenes) -> None:
    def lengths(**options: Any) -> list[int]:
        return [len(scene) for scene in outpaint(two_scenes, **options).video.scenes]

    assert lengths() == [12, 10]
    assert lengths(scene_cuts=False) == lengths(cut_threshold=1.0) == [22]


def test_core_nodes_save_it_and_take_it_apart(pack, outpaint, load_video) -> None:
    """As a user has it: Load Video, this node, Save Video; and Get Video Components for who works on images."""
    import folder_paths
    from comfy_api.latest import _io
    from comfy_extras import nodes_video

    (video,) = nodes_video.LoadVideo.execute(_annotated(CLIP)).args
    finished = outpaint(video, first_frames=20)
    save = nodes_video.SaveVideo.PREPARE_CLASS_CLONE(None)
    save.hidden = _io.HiddenHolder.from_dict({_io.Hidden.prompt: {"1": {"class_type": "x"}}})
    result = save.execute(finished, "video/test", "auto", {"codec": "auto"})
    (saved,) = Path(folder_paths.get_output_directory(), "video").glob("test_*.mp4")
    assert result.args == (finished,)
    written = load_video(str(saved)).get_components()
    images, audio, fps, bit_depth = nodes_video.GetVideoComponents.execute(finished).args
    assert written.images.shape == images.shape == (20, 360, 640, 3)
    assert (written.images - images).abs().mean() < 0.02
    assert written.metadata["prompt"] == '{"1": {"class_type": "x"}}'
    assert (fps, bit_depth, written.frame_rate) == (25.0, 8, 25)
    assert audio["waveform"].shape[-1] / audio["sample_rate"] == pytest.approx(0.8, abs=0.001)


def _annotated(path: Path) -> str:
    import folder_paths

    folder_paths.set_input_directory(str(path.parent))
    return path.name


@pytest.mark.parametrize("as_bytes", [False, True], ids=["path", "bytes"])
def test_a_trimmed_video_is_outpainted_in_part(outpaint, load_video, as_bytes) -> None:
    whole = load_video(io.BytesIO(CLIP.read_bytes()) if as_bytes else str(CLIP))
    part = whole.as_trimmed(0.4, 0.8)
    finished = outpaint(part)
    source, ours = part.get_components(), finished.get_components()
    assert len(ours.images) == len(source.images) == 20
    assert torch.equal(ours.images[:, :, 200:-200], source.images[:, :, 24:-24])
    both = [audio["waveform"][0, :, 2000:30000] for audio in (ours.audio, source.audio)]
    torch.testing.assert_close(both[0], both[1], atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("start", "duration", "first", "last"), [(0.0, 0.2, 0, 5), (0.2, 0.0, 5, 22), (-0.4, 0.2, 12, 17)]
)
def test_the_result_can_be_trimmed(outpaint, two_scenes, start, duration, first, last) -> None:
    whole = outpaint(two_scenes)
    part = whole.as_trimmed(start, duration)
    assert torch.equal(part.get_components().images, whole.get_components().images[first:last])
    assert part.get_frame_count() == last - first and part.get_duration() == pytest.approx((last - first) / 25)
    assert part.get_components().audio["waveform"].shape[-1] == (last - first) * 320


def test_a_trim_beyond_the_end_is_none(outpaint, two_scenes) -> None:
    whole = outpaint(two_scenes)
    assert whole.as_trimmed(5.0, 1.0) is None
    assert whole.as_trimmed(0.0, 5.0, strict_duration=True) is None
    assert whole.as_trimmed(0.0, 5.0).get_frame_count() == 22


def test_it_can_be_outpainted_again_without_a_file_in_between(outpaint, two_scenes) -> None:
    once = outpaint(two_scenes, target="1:1")
    twice = outpaint(once, target="16:9")
    assert twice.get_dimensions() == (86, 48)
    assert torch.equal(twice.get_components().images[:, :, 27:59], once.get_components().images[:, :, 8:40])


def test_who_wants_a_file_gets_one(outpaint, two_scenes, load_video) -> None:
    """Nodes that call services send the file, not the frames."""
    finished = outpaint(two_scenes)
    path = finished.get_stream_source()
    assert path == finished.get_stream_source()
    assert load_video(path).get_frame_count() == finished.get_frame_count() == 22


@pytest.mark.parametrize(("bit_depth", "asked", "written"), [(8, None, 8), (10, None, 10), (8, 10, 10), (10, 8, 8)])
def test_bit_depth_is_the_source_s_or_what_is_asked(
    outpaint, components, shot, load_video, bit_depth, asked, written
) -> None:
    file = io.BytesIO()
    outpaint(components(shot(1, 4), bit_depth=bit_depth)).save_to(file, bit_depth=asked)
    assert load_video(file).get_bit_depth() == written


def test_rates_that_are_no_whole_numbers(outpaint, components, shot, load_video) -> None:
    file = io.BytesIO()
    outpaint(components(shot(1, 30), Fraction(30_000, 1001))).save_to(file)
    assert float(load_video(file).get_frame_rate()) == pytest.approx(29.97, abs=0.001)


def test_formats_that_comfyui_does_not_write_are_refused(outpaint, two_scenes) -> None:
    finished = outpaint(two_scenes)
    with pytest.raises(ValueError, match="'webm'"):
        finished.save_to(io.BytesIO(), format="webm")
    with pytest.raises(ValueError, match="'av1'"):
        finished.save_to(io.BytesIO(), codec="av1")


def test_odd_sizes_are_refused_before_anything_is_sampled(outpaint, two_scenes) -> None:
    with pytest.raises(ValueError, match=r"85x48.*size_multiple"):
        outpaint(two_scenes, size_multiple=1, target="pixels", left=53)


def test_a_wrong_ratio_is_told_before_anything_runs(pack) -> None:
    node = pack.nodes["M3DDM_OutpaintVideo"]
    assert "got the ratio 'wide'" in node.validate_inputs(target="custom ratio", custom_ratio="wide")
    assert node.validate_inputs(target="1:1", custom_ratio="wide") is True


def test_nothing_to_outpaint_passes_frames_through(outpaint, two_scenes, caplog) -> None:
    finished = outpaint(two_scenes, target="custom ratio", custom_ratio="2:3")
    assert "nothing to outpaint" in caplog.text
    assert torch.equal(finished.get_components().images, two_scenes.get_components().images)


def test_one_bar_runs_over_all_scenes_and_stages(pack, model, vae, two_scenes, monkeypatch) -> None:
    import comfy.utils

    told = []
    monkeypatch.setattr(
        comfy.utils, "PROGRESS_BAR_HOOK", lambda value, total, preview, node_id=None: told.append((value, total))
    )
    settings = pack.settings(**ONE_STEP)
    finished = pack.outpaint_video(model, vae, two_scenes, settings=settings, canvas_size=64)
    assert [value for value, _ in told] == sorted(value for value, _ in told)
    assert {total for _, total in told} == {10_000} and told[-1] == (10_000, 10_000)
    told.clear()
    finished.save_to(io.BytesIO())
    assert told == sorted(told) and told[-1] == (22, 22), "ComfyUI leaves out some that come quickly"


def test_stopping_leaves_no_half_file(outpaint, two_scenes, tmp_path) -> None:
    import comfy.model_management

    finished = outpaint(two_scenes)
    comfy.model_management.interrupt_current_processing()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        finished.save_to(str(tmp_path / "finished.mp4"))
    assert not list(tmp_path.iterdir())
    finished.save_to(str(tmp_path / "finished.mp4"))
    assert list(tmp_path.iterdir())


def test_stopping_works_while_the_file_is_looked_through(outpaint, load_video) -> None:
    import comfy.model_management

    comfy.model_management.interrupt_current_processing()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        outpaint(load_video(str(CLIP)))


def test_a_file_that_was_changed_in_between_is_told(outpaint, load_video, tmp_path) -> None:
    (tmp_path / "clip.mp4").write_bytes(CLIP.read_bytes())
    finished = outpaint(load_video(str(tmp_path / "clip.mp4")))
    for options in ({"target": "4:5", "first_frames": 30}, {"target": "1:1"}):
        outpaint(load_video(str(CLIP)), **options).save_to(str(tmp_path / "clip.mp4"))
        with pytest.raises(ValueError, match=r"clip\.mp4, which has been changed since it was opened"):
            finished.save_to(str(tmp_path / "finished.mp4"))
        assert not (tmp_path / "finished.mp4").exists()


def test_another_model_is_refused_first(pack, vae, two_scenes) -> None:
    class Patcher:
        model = object()

    with pytest.raises(ValueError, match="kind object, expected M3DDM"):
        pack.outpaint_video(Patcher(), vae, two_scenes)


def test_a_vae_of_another_family_is_refused(pack, model, two_scenes) -> None:
    class OtherVAE:
        def encode(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(pixels), 16, 8, 8)

    with pytest.raises(ValueError, match=r"needs a Stable Diffusion 1\.5 VAE"):
        pack.outpaint_video(model, OtherVAE(), two_scenes, canvas_size=64)
