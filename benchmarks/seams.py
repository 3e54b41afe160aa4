"""How visible the seam is, before and after blending: ``python -m benchmarks.seams``, from the repository's root.

No network is asked: what a model gets wrong is done to the held-out synthetic clips instead. A generated clip is the
truth, blurred, tinted (each side in its own way) and flickering; in some the source fades or flashes and what was
generated does not follow. "truth" and "as generated" are one picture from side to side, and have no seam: what they
measure is what there is to reach. The columns are the seam measure of ``evaluate``, as a mean and at its worst, and its
flicker (1 is right for both); how much the border's mean colour changes otherwise than the truth's from frame to frame,
and how far the colours of 16x16 blocks are off, both in levels of 255; the border's peak signal-to-noise ratio.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import Tensor

from m3ddm_core.canvas.placement import place
from m3ddm_core.composite.compositor import composite
from m3ddm_core.evaluation.metrics import flicker, psnr, seam

from .spoiled_clips import colour_error, known, spoiled_clips

TRUTH, AS_GENERATED = "truth", "as generated"
METHODS: dict[str, dict] = {
    TRUTH: {},
    AS_GENERATED: {},
    "hard edge": {"feather": 0},
    "feather 8": {},
    "linear": {"feather": 0, "colour_match": "linear"},
    "steady": {"feather": 0, "colour_match": "steady"},
    "gradient": {"feather": 0, "blend": "gradient"},
    "steady + gradient": {"feather": 0, "colour_match": "steady", "blend": "gradient"},
    "steady + gradient, feather 8": {"colour_match": "steady", "blend": "gradient"},
}
FRAMES, SIZE = 16, 256


def pumping(truth: Tensor, result: Tensor, filled: Tensor) -> float:
    """How much the border's mean colour changes otherwise than the truth's from frame to frame, in levels of 255."""
    return ((result - truth)[:, filled].mean(1).diff(dim=0).abs().mean() * 255).item()


def quality(clips: int) -> None:
    """Print a table of every method over every kind of clip."""
    found: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for event, placement, truth, generated in spoiled_clips(clips, FRAMES, SIZE):
        source, filled = known(placement, truth)
        true = (truth * 255).round().byte().numpy()
        for name, options in METHODS.items():
            whole = {TRUTH: truth, AS_GENERATED: generated}
            result = whole[name] if name in whole else composite(source, generated, placement, **options)
            made = (result * 255).round().byte().numpy()
            values = (
                seam(made, filled.numpy()),
                flicker(true, made, filled.numpy()),
                pumping(truth, result, filled),
                colour_error(truth, result, filled).mean().item(),
                psnr(((truth - result)[:, filled] ** 2).mean().item()),
            )
            found.setdefault((event, name), []).append(values)
    print(f"{'event':8} {'method':30} {'seam':>6} {'worst':>6} {'flicker':>8} {'pumps':>7} {'colour':>7} {'PSNR':>6}")
    for (event, name), values in found.items():
        jump, change, pumps, colour, ratio = (float(np.mean(column)) for column in zip(*values, strict=True))
        worst = max(value[0] for value in values)
        print(f"{event:8} {name:30} {jump:6.2f} {worst:6.2f} {change:8.2f} {pumps:7.2f} {colour:7.2f} {ratio:6.2f}")


def speed() -> None:
    """Print the time that a frame of 1920x1080 takes on one thread, whatever else the machine does."""
    frames = 8
    torch.set_num_threads(1)
    print("\nms of one CPU thread a frame, 1920x1080 from a canvas of 256")
    shapes = {
        "left and right 656": place((608, 1080), ratio="16:9"),
        "top and bottom 132": place((1920, 816), ratio="16:9"),
        "all four sides": place((1600, 900), pixels=(160, 90, 160, 90)),
    }
    for shape, placement in shapes.items():
        source = torch.rand(frames, placement.source[1], placement.source[0], 3)
        generated = torch.rand(frames, *reversed(placement.canvas), 3)
        for name, options in list(METHODS.items())[2:]:
            times = []
            for _ in range(3):
                start = time.process_time()
                composite(source, generated, placement, **options)
                times.append((time.process_time() - start) / frames * 1000)
            print(f"{shape:20} {name:30} {min(times):7.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=8)
    quality(parser.parse_args().clips)
    speed()
