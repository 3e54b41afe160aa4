"""Guide frames that lie in files: checked before anything is sampled, and read when their scene is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor

from ..frames import require_shape
from ..outpaint.encode import add_guide_frames
from ..outpaint.state import OutpaintState
from ..vae import Encode
from .file import FileSource

GuideFiles = Sequence[tuple[int, Path]]
"""Frame numbers of a scene, below 0 from its end, and pictures of the target's shape, of any size."""


def check_guides(guides: GuideFiles, length: int, target: tuple[int, int]) -> None:
    """Raise ValueError unless guides are pictures for different frames of a scene of so many, of the target's shape."""
    frames = set()
    for number, path in guides:
        if not -length <= number < length or number % length in frames:
            raise ValueError(
                f"got a guide for frame {number} of a scene of {length} frames, expected {-length} to {length - 1}, "
                "each frame once"
            )
        frames.add(number % length)
        require_shape(_read(path), target, f"the guide {path.name}")


def with_guides(state: OutpaintState, guides: GuideFiles, encode: Encode) -> OutpaintState:
    """The state in which the guides' frames are known."""
    for number, picture in read_guides(guides):
        state = add_guide_frames(state, picture, str(number), encode)
    return state


def read_guides(guides: GuideFiles) -> Iterator[tuple[int, Tensor]]:
    """Each guide's frame number and picture, (1, h, w, 3), float32, 0..1. Raises `BrokenVideo`."""
    return ((number, _read(path)) for number, path in guides)


def _read(path: Path) -> Tensor:
    """A picture, (1, h, w, 3), float32, 0..1; the first frame of a video. Raises `BrokenVideo`."""
    return next(FileSource(str(path), most=1).frames())[None]
