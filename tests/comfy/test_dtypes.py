"""Every node takes frames and masks of every float: ComfyUI's --fp16-intermediates makes them half-precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.helpers.filmed import pan

DTYPES = [torch.float16, torch.bfloat16, torch.float64]
BLENDING = {"feather": 4, "colour_match": "steady", "resampling": "lanczos", "blend": "gradient"}


@pytest.fixture
def frames(shot: Any) -> torch.Tensor:
    """20 frames of values that all of the dtypes hold."""
    return (shot(0, 20) * 16).round() / 16


@pytest.fixture
def mask() -> torch.Tensor:
    mask = torch.zeros(20, 48, 32)
    mask[:, 8:24, 8:16] = 1
    return mask


def cast_vae(vae: Any, dtype: torch.dtype) -> Any:
    """A VAE whose own pictures and latents are of a dtype too."""

    class Cast:
        def encode(self, pixels: torch.Tensor) -> torch.Tensor:
            return vae.encode(pixels.float()).to(dtype)

        def decode(self, latents: torch.Tensor) -> torch.Tensor:
            return vae.decode(latents.float()).to(dtype)

    return Cast()


def whole_graph(pack: Any, model: Any, vae: Any, frames: torch.Tensor, mask: torch.Tensor) -> dict[str, Any]:
    """What all the nodes that take pictures make of frames and a mask over them."""
    moved, empty = pack.run("M3DDM_MoveFrames", images=frames, path="0: 0, 0; 10: 4, 2", width=0, height=0, mask=mask)
    asked = {"target": "1:1", "canvas_size": 64, "source_mask": mask}
    canvas, hole, placement, used = pack.edge_mask(frames, **asked)
    (shown,) = pack.run("M3DDM_EncodeGlobalFrames", frames=used, vae=vae, count=2, source_mask=mask)
    context = {"canvas": canvas.to(frames), "mask": hole.to(mask), "global_frames": shown, "vae": vae, "fps": 25.0}
    (state,) = pack.run("M3DDM_EncodeContext", placement=placement, **context)
    (own,) = pack.run("M3DDM_EncodeContext", **context)
    guide = frames[:1, 8:40]
    guided = [
        pack.run("M3DDM_GuideFrames", state=one, images=guide, vae=vae, frame_numbers="-1")[0] for one in (state, own)
    ]
    settings = pack.settings(steps=1, context_scale=1.0, global_scale=1.0)
    latent = pack.run("M3DDM_SampleInfill", model=model, state=guided[0], seed=0, settings=settings)[1]
    *_, start, clip = pack.run("M3DDM_ClipConditioning", state=guided[1], stride=1, clip_number=0)
    start = {"samples": start["samples"].to(frames)}
    result = pack.run("M3DDM_ClipResult", state=guided[1], latent=start, clip=clip)[1]
    generated = vae.decode(latent["samples"]).to(frames)
    composite = {"source": used, "generated": generated, "placement": placement, "source_mask": mask}
    finished, _ = pack.run("M3DDM_Composite", **composite, **BLENDING)
    second = pack.run(
        "M3DDM_SecondPass",
        source=used,
        generated=finished,
        placement=placement,
        canvas_size=64,
        canvas_shape="target",
        source_mask=mask,
    )
    return {
        "moved": moved,
        "empty": empty,
        "canvas": canvas,
        "hole": hole,
        "shown": shown.latents,
        "state": guided[0].masked,
        "own": guided[1].masked,
        "latent": latent["samples"],
        "result": result["samples"],
        "finished": finished,
        "second": second[0],
    }


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_graph_of_nodes(pack, model, vae, frames, mask, dtype) -> None:
    expected = whole_graph(pack, model, vae, frames, mask)
    got = whole_graph(pack, model, cast_vae(vae, dtype), frames.to(dtype), mask.to(dtype))
    for name, tensor in got.items():
        assert torch.isfinite(tensor).all(), name
        difference = (tensor.float() - expected[name].float()).abs()
        assert difference.mean() < 0.02, (name, difference.mean())
    assert got["finished"].dtype is dtype and got["canvas"].dtype is torch.float32


@pytest.mark.parametrize("seen", ["off", "both"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_video_node(pack, outpaint, model, vae, components, frames, mask, dtype, seen) -> None:
    options = {"target": "1:1", **BLENDING, "second_pass": 64, "seen": seen}
    options |= {} if seen == "both" else {"source_mask": mask}
    expected = outpaint(components(frames), **options).get_components().images
    options |= {} if seen == "both" else {"source_mask": mask.to(dtype)}
    got = pack.outpaint_video(model, cast_vae(vae, dtype), components(frames.to(dtype)), canvas_size=64, **options)
    images = got.get_components().images
    assert images.dtype is torch.float32 and (images - expected).abs().mean() < 0.02


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_seen_pixels(pack, dtype) -> None:
    film = pan(1.4, 12)
    canvas, _, placement, used = pack.edge_mask(film.source.to(dtype), target="pixels", left=16, canvas_size=80)
    seen, shown, confidence, _ = pack.run(
        "M3DDM_SeenPixels", images=used, placement=placement, scene_cuts=True, cut_threshold=0.25
    )
    assert seen.share > 0.1 and shown.dtype is confidence.dtype is torch.float32
    finished, provenance = pack.run(
        "M3DDM_Composite", source=used, generated=canvas.to(dtype), placement=placement, seen=seen, **BLENDING
    )
    assert finished.dtype is dtype and provenance.dtype is torch.float32
    assert (finished.float() - film.whole[:, :, :80])[provenance == 0.5].abs().mean() < 0.02
