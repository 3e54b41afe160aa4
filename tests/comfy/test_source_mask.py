"""A mask of the user's own through the whole graph, standing still, moving, or made by frames that move."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

FRAMES, HEIGHT, WIDTH = 16, 48, 64
MASKED = range(3, 11)
FULL = {"target": "pixels", "canvas_size": 64}


@pytest.fixture(autouse=True)
def previews(pack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import folder_paths

    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))


def frames(count: int = FRAMES) -> torch.Tensor:
    return torch.rand(count, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(1))


def moving(count: int = FRAMES) -> torch.Tensor:
    """A square that moves over some of the frames."""
    mask = torch.zeros(count, HEIGHT, WIDTH)
    for number in MASKED:
        mask[number, 10:30, 2 * number : 2 * number + 20] = 1
    return mask


def prepare(pack: Any, vae: Any, images: torch.Tensor, mask: torch.Tensor | None, **where: Any) -> tuple[Any, Any, Any]:
    """Source frames and mask to state, placement and the frames that are used."""
    canvas, hole, placement, used = pack.edge_mask(images, source_mask=mask, **where)
    (shown,) = pack.run("M3DDM_EncodeGlobalFrames", frames=used, vae=vae, count=2, source_mask=mask)
    (state,) = pack.run(
        "M3DDM_EncodeContext", canvas=canvas, mask=hole, global_frames=shown, vae=vae, fps=25.0, placement=placement
    )
    return state, placement, used


def outpaint(pack: Any, model: Any, vae: Any, state: Any) -> tuple[Any, torch.Tensor]:
    """The finished state and the decoded canvas, after all three levels."""
    settings = pack.settings(steps=2, context_scale=1.0, global_scale=1.0)
    for level, stride in (("Keyframes", {"stride": 15}), ("Interpolation", {"stride": 5}), ("Infill", {})):
        state, latent, _ = pack.run(
            f"M3DDM_Sample{level}", model=model, state=state, seed=1, settings=settings, **stride
        )
    return state, vae.decode(latent["samples"])


def composite(pack: Any, *parts: Any, mask: torch.Tensor, **options: Any) -> torch.Tensor:
    source, generated, placement = parts
    given = {"feather": 0, "colour_match": "none", "resampling": "lanczos"} | options
    return pack.run(
        "M3DDM_Composite", source=source, generated=generated, placement=placement, source_mask=mask, **given
    )[0]


@pytest.mark.parametrize("count", [FRAMES, 50])
def test_only_what_is_masked_is_made_anew(pack: Any, model: Any, vae: Any, count: int) -> None:
    """No border: a moving mask over some frames, and all others are known and come back as they were."""
    images, mask = frames(count), moving(count)
    state, placement, used = prepare(pack, vae, images, mask, **FULL)
    assert placement.placement.is_full and state.known == frozenset(range(count)) - frozenset(MASKED)
    done, generated = outpaint(pack, model, vae, state)
    assert len(done.known) == count and torch.isfinite(done.latents).all()
    for number in range(count):
        assert torch.equal(done.latents[number], state.start[number]) == (number not in MASKED)
    for blend in ("feather", "gradient"):
        result = composite(pack, used, generated, placement, mask=mask, blend=blend, colour_match="steady")
        assert torch.equal(result[mask == 0], images[mask == 0])
        assert (result[mask == 1] != images[mask == 1]).any(-1).float().mean() > 0.99


def test_frames_that_move_are_filled_up_to_a_larger_target(pack: Any, model: Any, vae: Any) -> None:
    images = frames()
    moved, nothing = pack.run("M3DDM_MoveFrames", images=images, path="0: 0, 0; -1: 30, -15", width=0, height=0)
    assert moved.shape == (FRAMES, HEIGHT + 15, WIDTH + 30, 3) and nothing.shape == moved.shape[:3]
    state, placement, used = prepare(pack, vae, moved, nothing, target="16:9", canvas_size=64)
    assert not state.known and placement.placement.target == (112, 64)
    _, generated = outpaint(pack, model, vae, state)
    result = composite(pack, used, generated, placement, mask=nothing, blend="gradient")
    left, top = placement.placement.offset
    assert result.shape == (FRAMES, 64, 112, 3)
    for number in range(FRAMES):
        x, y = left + 2 * number, top + 15 - number
        assert torch.equal(result[number, y : y + HEIGHT, x : x + WIDTH], images[number])
    own = result[:, top : top + HEIGHT + 15, left : left + WIDTH + 30]
    assert (own[nothing == 1] > 0).any(-1).float().mean() > 0.9, "no black is left where the frames are not"


def test_the_network_is_not_shown_what_is_masked(pack: Any, vae: Any) -> None:
    images, mask = frames(), torch.zeros(1, HEIGHT, WIDTH)
    mask[:, 20:23, 40:43] = 1
    states = []
    for colour in (0.0, 1.0):
        marked = torch.where(mask[..., None] == 1, colour, images)
        states.append(prepare(pack, vae, marked, mask, target="1:1", canvas_size=64)[0])
    one, other = states
    for name in ("start", "masked", "masks", "global_latents"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_a_second_pass_goes_on_under_the_mask(pack: Any) -> None:
    images, mask = frames(2), torch.zeros(1, HEIGHT, WIDTH)
    mask[:, 10:30, 20:40] = 1
    _, _, placement, used = pack.edge_mask(images, source_mask=mask, target="1:1", canvas_size=32)
    first = torch.full((2, 64, 64, 3), 0.25)
    given = {"source": used, "generated": first, "placement": placement, "canvas_size": 64, "canvas_shape": "target"}
    canvas, hole, larger = pack.run("M3DDM_SecondPass", source_mask=mask, **given)
    plain, border, same = pack.run("M3DDM_SecondPass", **given)
    assert larger == same and hole.sum() > border.sum()
    assert torch.equal(canvas[:, hole[0] == 0], plain[:, hole[0] == 0])
    torch.testing.assert_close(canvas[:, hole[0] == 1], torch.full_like(canvas[:, hole[0] == 1], 0.25))


def test_a_mask_is_something_to_outpaint(pack: Any, caplog: pytest.LogCaptureFixture) -> None:
    images = frames(2)
    _, mask, _, _ = pack.edge_mask(images, source_mask=torch.ones(HEIGHT, WIDTH), **FULL)
    assert mask.min() == 1 and not caplog.records
    with caplog.at_level(logging.WARNING):
        _, mask, _, _ = pack.edge_mask(images, source_mask=torch.zeros(1, HEIGHT, WIDTH), **FULL)
    assert not mask.any() and "nothing to outpaint" in caplog.text and "source_mask is 0 everywhere" in caplog.text


def test_an_empty_mask_is_no_mask(pack: Any, vae: Any) -> None:
    images = frames()
    plain, masked = (
        prepare(pack, vae, images, mask, target="1:1", canvas_size=64)[0]
        for mask in (None, torch.zeros(FRAMES, HEIGHT, WIDTH))
    )
    for name in ("start", "masked", "masks", "global_latents"):
        assert torch.equal(getattr(plain, name), getattr(masked, name)), name


def test_the_first_frames_take_the_first_masks(pack: Any, vae: Any) -> None:
    images, mask = frames(), moving()
    state, placement, used = prepare(pack, vae, images, mask, first_frames=5, **FULL)
    assert state.num_frames == 5 and state.known == {0, 1, 2}
    generated = torch.zeros(5, 64, 64, 3)
    whole, cut = (composite(pack, used, generated, placement, mask=part) for part in (mask, mask[:5]))
    assert torch.equal(whole, cut) and (whole[mask[:5] == 1] == 0).all()


def test_what_does_not_fit_is_named(pack: Any, vae: Any) -> None:
    images = frames(5)
    with pytest.raises(ValueError, match=r"source mask of 64x64, expected 64x48.*empty mask"):
        pack.edge_mask(images, source_mask=torch.zeros(1, 64, 64))
    with pytest.raises(ValueError, match=r"source mask of 2 frames for 5"):
        pack.edge_mask(images, source_mask=torch.zeros(2, HEIGHT, WIDTH))
    with pytest.raises(ValueError, match=r"source mask of 4 frames for 5"):
        pack.run("M3DDM_EncodeGlobalFrames", frames=images, vae=vae, count=2, source_mask=torch.zeros(4, HEIGHT, WIDTH))
    with pytest.raises(ValueError, match=r"'5, 5' in the path"):
        pack.run("M3DDM_MoveFrames", images=images, path="0: 0, 0; 5, 5", width=0, height=0)
    with pytest.raises(ValueError, match=r"never inside"):
        pack.run("M3DDM_MoveFrames", images=images, path="0: 99, 0", width=64, height=48)


def test_the_frozen_names_of_the_new_node(pack: Any) -> None:
    schema = pack.nodes["M3DDM_MoveFrames"].GET_SCHEMA()
    assert [entry.id for entry in schema.inputs] == ["images", "path", "width", "height", "mask"]
    assert [entry.default for entry in schema.inputs[1:4]] == ["0: 0, 0", 0, 0]
    assert [entry.id for entry in schema.inputs if entry.optional] == ["mask"]
    assert [entry.io_type for entry in schema.outputs] == ["IMAGE", "MASK"]
    for node_id in ("EncodeGlobalFrames", "SecondPass", "Composite", "EdgeMask"):
        inputs = pack.nodes[f"M3DDM_{node_id}"].GET_SCHEMA().inputs
        assert "source_mask" in [entry.id for entry in inputs if entry.optional], "saved prompts lack it"
