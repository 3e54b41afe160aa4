"""A file of one scene over which the camera pans, with a tone."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import torch

from m3ddm_core.video.source import TensorSource
from m3ddm_core.video.writer import write_video

CELLS = 8
"""Pixels that one colour of the world takes, about: it is soft in between."""


def write_pan(path: Path, frames: int, height: int) -> None:
    """Write so many frames, 32 pixels wide, a pixel farther each."""
    noise = torch.rand(1, 3, 6, height // CELLS + 4, generator=torch.Generator().manual_seed(0))
    wide = torch.nn.functional.interpolate(noise, (height, 32 + frames), mode="bilinear")[0]
    pictures = torch.stack([wide[:, :, number : number + 32] for number in range(frames)]).movedim(1, -1)
    source = TensorSource(pictures, Fraction(25), torch.linspace(-0.5, 0.5, frames * 320).expand(1, -1), 8000)
    write_video(path, source.frames(), source.info, source.sound)
