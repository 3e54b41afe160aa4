"""How large finished frames may be: what video encoders take, and what the machine's memory holds."""

from __future__ import annotations

import os

MOST_SIDE = 16_384
"""Pixels along a side: x264 takes no more."""
MOST_AREA = 2**27
"""Pixels of a frame: 15360x8640, "16K", is a little less. One of them is 1.6 GB as floats."""
MOST_CANVAS = 2_048
"""Pixels along a side of the canvas: eight times what the network was trained on, with 64 times the latents."""

BYTES_OF_A_PIXEL = 3 * 4
"""Of a frame of floats."""
BYTES_TO_WRITE, BYTES_AHEAD, FRAMES_AHEAD = 60, 4.5, 45
"""What a pixel of finished frames takes while they are composited, converted and encoded; what more for each frame that
x264 looks ahead; and how many those are at most. (Measured at 2048x1024: 39 bytes for one frame, 242 for sixty.)"""


def require_target(size: tuple[int, int]) -> None:
    """Raise ValueError for finished frames (width, height) that are larger than any encoder or machine is made for."""
    width, height = size
    if max(size) > MOST_SIDE or width * height > MOST_AREA:
        raise ValueError(
            f"got a target of {width}x{height}, expected at most {MOST_SIDE} pixels a side and {MOST_AREA:,} in all, "
            "which is as far as video encoders go; ask for a smaller border or a smaller result size"
        )


def memory_of_machine() -> int | None:
    """Bytes of memory that the machine has, or None where the system does not say (Windows)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def require_memory_to_write(frames: int, size: tuple[int, int]) -> None:
    """Raise ValueError where this machine's memory cannot hold what writing finished frames (width, height) takes."""
    pixels = size[0] * size[1]
    needed = pixels * (BYTES_TO_WRITE + BYTES_AHEAD * min(frames, FRAMES_AHEAD))
    _require_memory(needed, f"a target of {size[0]}x{size[1]}", "ask for a smaller border or a smaller result size")


def require_memory_to_hold(frames: int, size: tuple[int, int]) -> None:
    """Raise ValueError where so many frames (width, height) of floats are more than this machine's whole memory."""
    what = f"{frames} frames of {size[0]}x{size[1]}, all in memory at once"
    remedy = "use fewer frames or a smaller result size, or M3DDM Outpaint Video, which holds one after the other"
    _require_memory(frames * size[0] * size[1] * BYTES_OF_A_PIXEL, what, remedy)


def _require_memory(needed: float, what: str, remedy: str) -> None:
    there = memory_of_machine()
    if there is not None and needed > there:
        raise ValueError(
            f"got {what}, which takes about {needed / 1e9:.1f} GB, expected no more than the {there / 1e9:.1f} GB that "
            f"this machine has; {remedy}"
        )
