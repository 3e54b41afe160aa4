"""A second pass at a larger canvas: what it starts from, what it keeps, and the network in tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pytest
import torch

SHORT, LONG = 16, 50
"""One clip, and the shortest video with three levels."""


def wave(frames: int) -> torch.Tensor:
    """A wave that travels, frames of 48x60."""
    t, y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in (frames, 60, 48)), indexing="ij")
    return 0.5 + 0.4 * torch.stack([torch.sin((x * a + y + 2 * t) / 12) for a in (1.0, -0.5, 0.3)], dim=-1)


@dataclass(frozen=True)
class Second:
    """A second pass, ready to be sampled: the source, the finished frames of a first pass, canvas, placement, state."""

    source: torch.Tensor
    first: torch.Tensor
    canvas: torch.Tensor
    placement: Any
    state: Any


@pytest.fixture(scope="module")
def prepare(pack: Any, vae: Any) -> Callable[[int], Second]:
    @lru_cache
    def make(frames: int) -> Second:
        source = wave(frames)
        parts, _ = pack.prepare(source, vae, canvas_size=64)
        generated = torch.rand(frames, 64, 64, 3, generator=torch.Generator().manual_seed(3))
        first = pack.module("m3ddm_core.composite.compositor").composite(
            source, generated, parts["placement"].placement
        )
        canvas, mask, placement = pack.run(
            "M3DDM_SecondPass",
            source=source,
            generated=first,
            placement=parts["placement"],
            canvas_size=96,
            canvas_shape="target",
        )
        parts |= {"canvas": canvas, "mask": mask, "placement": placement}
        (state,) = pack.run("M3DDM_EncodeContext", vae=vae, fps=25.0, **parts)
        return Second(source, first, canvas, placement.placement, state)

    return make


@pytest.fixture
def second(prepare: Callable[[int], Second]) -> Second:
    return prepare(SHORT)


def sampled(pack: Any, model: Any, state: Any, levels: tuple[str, ...], denoise: float) -> Any:
    settings = pack.settings(steps=2, denoise=denoise, context_scale=1.0, global_scale=1.0)
    for level in levels:
        state = pack.run(f"M3DDM_Sample{level}", model=model, state=state, seed=1, settings=settings, **STRIDES[level])[
            0
        ]
    return state


STRIDES = {"Keyframes": {"stride": 15}, "Interpolation": {"stride": 5}, "Infill": {}}


def test_the_second_pass_starts_from_the_first_result(pack: Any, vae: Any, second: Second) -> None:
    canvas, placement = second.canvas, second.placement
    assert placement.canvas == (96, 56) and canvas.shape == (SHORT, 56, 96, 3)
    torch.testing.assert_close(second.state.start, vae.to_model_space(canvas))
    _, y, width, height = placement.canvas_target
    pictures = pack.module("m3ddm_core.frames").resize(second.first, (width, height))
    left = placement.canvas_source[0]
    assert torch.equal(canvas[:, y : y + height, :left], pictures[:, :, :left])


def test_the_source_is_known_throughout(pack: Any, vae: Any, second: Second) -> None:
    canvas, (x, y, width, height) = second.canvas, second.placement.canvas_source
    resized = pack.module("m3ddm_core.frames").resize(second.source, (width, height))
    assert torch.equal(canvas[:, y : y + height, x : x + width], resized)
    mask = torch.ones(56, 96)
    mask[y : y + height, x : x + width] = 0
    torch.testing.assert_close(second.state.masked, vae.to_model_space(canvas * (1 - mask)[:, :, None]))
    assert torch.equal(second.state.masks[0, 0], mask[::8, ::8])


@pytest.mark.parametrize("levels", [("Infill",), ("Keyframes", "Interpolation", "Infill")], ids=["infill", "all"])
def test_all_frames_are_made_and_composited(
    pack: Any, model: Any, vae: Any, prepare: Callable[[int], Second], levels: tuple[str, ...]
) -> None:
    second = prepare(LONG)
    done = sampled(pack, model, second.state, levels, denoise=0.4)
    assert len(done.known) == LONG and torch.isfinite(done.latents).all()
    images = pack.module("m3ddm_core.composite.compositor").composite(
        second.source, vae.decode(done.latents / 0.18215), second.placement, feather=0
    )
    left = second.placement.offset[0]
    assert images.shape == (LONG, 60, 106, 3)
    assert torch.equal(images[:, :, left : left + 48], second.source)


def test_less_denoise_stays_nearer_to_the_first_result(pack: Any, model: Any, second: Second) -> None:
    state = second.state
    far, near = (
        (sampled(pack, model, state, ("Infill",), share).latents - state.start).square().mean() for share in (1.0, 0.1)
    )
    assert near < far / 4


@pytest.mark.parametrize(("tile_size", "tiles"), [(64, 2), (96, 1), (2048, 1)])
def test_the_network_sees_tiles_of_the_size_asked_for(
    pack: Any, model: Any, second: Second, monkeypatch: pytest.MonkeyPatch, tile_size: int, tiles: int
) -> None:
    (tiled,) = pack.run("M3DDM_TiledModel", model=model, tile_size=tile_size, overlap=32)
    state, seen = second.state, []
    network = type(model.model.diffusion_model)
    forward = network.forward

    def watch(self: Any, x: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        seen.append(tuple(x.shape[-2:]))
        return forward(self, x, *args, **options)

    monkeypatch.setattr(network, "forward", watch)
    plain = sampled(pack, model, state, ("Infill",), 0.5).latents
    calls = len(seen)
    assert set(seen) == {(7, 12)}
    seen.clear()
    result = sampled(pack, tiled, state, ("Infill",), 0.5).latents
    assert len(seen) == calls * tiles and set(seen) == {(7, min(tile_size // 8, 12))}
    if tiles == 1:
        assert torch.equal(result, plain)
    else:
        assert torch.isfinite(result).all() and 0 < (result - plain).square().mean() < plain.square().mean()


def test_the_last_tiling_counts_and_the_model_given_stays_as_it_is(pack: Any, model: Any) -> None:
    import comfy.patcher_extension

    (once,) = pack.run("M3DDM_TiledModel", model=model, tile_size=64, overlap=32)
    (twice,) = pack.run("M3DDM_TiledModel", model=once, tile_size=128, overlap=32)
    counts = [len(m.get_all_wrappers(comfy.patcher_extension.WrappersMP.APPLY_MODEL)) for m in (model, once, twice)]
    assert counts == [0, 1, 1]


def test_an_overlap_as_large_as_a_tile_is_told_at_once(pack: Any, model: Any) -> None:
    with pytest.raises(ValueError, match="got an overlap of 64 for tiles of 64"):
        pack.run("M3DDM_TiledModel", model=model, tile_size=64, overlap=64)


@pytest.mark.parametrize("node_id", ["M3DDM_SecondPass", "M3DDM_TiledModel"])
def test_everything_has_a_tooltip(pack: Any, node_id: str) -> None:
    schema = pack.nodes[node_id].GET_SCHEMA()
    assert schema.category == "M3DDM" and schema.search_aliases
    assert all(entry.tooltip for entry in (*schema.inputs, *schema.outputs))
