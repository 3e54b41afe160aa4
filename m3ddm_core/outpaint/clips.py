"""One clip of a video: what is gathered from the state for it, and how its result goes back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange, repeat
from torch import Tensor

from ..sampling.clip import ClipConditions
from ..sampling.schedule import add_noise
from .plan import CLIP_LENGTH, Clip, plan_stage
from .state import OutpaintState


class NonFiniteLatents(ValueError):
    """A clip came out with NaN or infinite latents; nothing of it is kept."""


def with_clips(state: OutpaintState, clips: Sequence[Clip], latents: Tensor) -> OutpaintState:
    """Return the state in which the frames that sampled clips (b, 4, 16, h, w) make are known.

    Raises `NonFiniteLatents`, and ``ValueError`` for latents of another shape.
    """
    shape = (len(clips), state.start.shape[1], CLIP_LENGTH, *state.start.shape[2:])
    if latents.shape != shape:
        raise ValueError(
            f"got a sampled clip of shape {tuple(latents.shape)}, expected {shape}: as many frames and as large as "
            "the clip was before it was sampled"
        )
    require_finite(latents, clips, "after its last step")
    return state.with_results(
        {
            index: latents[row, :, position].to(state.latents)
            for row, clip in enumerate(clips)
            for index, position in clip.generated.items()
        }
    )


def ready_clip(state: OutpaintState, stride: int, number: int) -> Clip:
    """Return one of the clips of a level that can be sampled now, counted from 0.

    They depend on nothing that is yet to be sampled; with a clip's result in the state, others take their place. Raises
    ``ValueError`` where the level is done, or there is no such clip now.
    """
    waves = plan_stage(state.num_frames, stride, state.known, state.guides)
    if not waves:
        raise ValueError(
            f"got a state in which nothing is left to sample at stride {stride}, expected an unfinished level: go on "
            "with the next stride, the last of which is 1"
        )
    ready, total = waves[0], sum(len(wave) for wave in waves)
    if not 0 <= number < len(ready):
        raise ValueError(
            f"got clip number {number}, expected 0 to {len(ready) - 1}: of the {total} clips left at stride {stride} "
            f"only {len(ready)} can be sampled now. Put their results into the state first; the next is number 0 then"
        )
    return ready[number]


def clip_inputs(
    state: OutpaintState, clips: Sequence[Clip], *, seed: int, guide_noise: int
) -> tuple[ClipConditions, Tensor, Tensor]:
    """Gather conditions, start latents and noise (b, 4, 16, h, w) of clips of one stride.

    Known frames show their latents with a mask of zero, in the masked and in the blank video. The noise is drawn on
    the CPU from ``seed``, once for all clips.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    shape = (1, state.start.shape[1], CLIP_LENGTH, *state.start.shape[2:])
    noise, guide_draw = (torch.randn(shape, generator=generator).to(state.start) for _ in range(2))
    noise, guide_draw = (draw.expand(len(clips), *shape[1:]) for draw in (noise, guide_draw))

    indices = torch.tensor([clip.indices for clip in clips])
    known = rearrange(torch.tensor([clip.known for clip in clips]), "b f -> b 1 f 1 1").to(state.start.device)

    def frames_of(video: Tensor) -> Tensor:
        return rearrange(video[indices], "b f c h w -> b c f h w")

    guides = frames_of(state.latents)
    if guide_noise > 0:
        guides = add_noise(guides, guide_draw, guide_noise)
    blank = repeat(state.blank, "1 c h w -> b c f h w", b=len(clips), f=CLIP_LENGTH)
    masks = frames_of(state.masks).masked_fill(known, 0)
    conditions = ClipConditions(
        masked_video=torch.cat([torch.where(known, guides, frames_of(state.masked)), masks], dim=1),
        blank_video=torch.cat([torch.where(known, guides, blank), (~known).to(masks).expand_as(masks)], dim=1),
        global_latents=state.global_latents,
        fps=int(state.fps // clips[0].stride),
    )
    return conditions, frames_of(state.start), noise


def require_finite(latents: Tensor, clips: Sequence[Clip], when: str) -> None:
    """Raise `NonFiniteLatents` naming the first clip of a batch (b, ...) that holds NaN or infinity."""
    if torch.isfinite(latents).all():
        return
    row = next(row for row, clip in enumerate(latents) if not torch.isfinite(clip).all())
    first, last, stride = clips[row].indices[0], clips[row].indices[-1], clips[row].stride
    raise NonFiniteLatents(
        f"got NaN or infinite latents {when} in the clip of frames {first} to {last} (stride {stride}); nothing of it "
        "was kept. Load the checkpoint in another weight dtype (bf16 or fp32), lower the guidance scales, or check "
        "the VAE and the source frames"
    )
