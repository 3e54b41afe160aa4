"""A small clip that moves, and a small network, which need no download."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

SIDE = 32
"""Of the square clip."""


def write_clip(path: Path, frames: int) -> None:
    """Smooth noise that moves a pixel a frame, with a tone."""
    import torch

    from m3ddm_core.video.source import TensorSource
    from m3ddm_core.video.writer import write_video

    noise = torch.rand(1, 3, 8, (SIDE + frames) // 8, generator=torch.Generator().manual_seed(0))
    wide = torch.nn.functional.interpolate(noise, (SIDE, SIDE + frames), mode="bilinear")[0]
    pictures = torch.stack([wide[:, :, number : number + SIDE] for number in range(frames)]).movedim(1, -1)
    tone = torch.sin(torch.arange(frames * 320) / 3)[None] / 2
    source = TensorSource(pictures, Fraction(25), tone, 8000)
    write_video(path, source.frames(), source.info, source.sound)


def write_network(path: Path) -> None:
    """The small network of the tests, with their seeded weights."""
    import torch

    from m3ddm_core.checkpoint import expected_shapes, save_checkpoint
    from tests.helpers.checkpoint_files import TINY, load_seeded_weights

    arrays = load_seeded_weights().seeded_state_dict(expected_shapes(TINY))
    save_checkpoint(path, {name: torch.from_numpy(array) for name, array in arrays.items()}, TINY)
