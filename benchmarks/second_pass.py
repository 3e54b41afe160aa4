"""What a second pass does for the border: ``python -m benchmarks.second_pass --checkpoint FILE --vae FILE``.

Held-out synthetic clips lose half of their width and get it back in one pass on a small canvas, in one on a canvas of
full size, and in two. Detail is the border's gradient energy over the truth's (1 is as sharp as the truth), beside
the border's peak signal-to-noise ratio, the seam measure of ``evaluate`` and its flicker (1 is right for both), and
seconds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from torch import Tensor

from m3ddm_core.canvas.build import make_canvas, make_start_canvas
from m3ddm_core.canvas.placement import Placement, with_canvas
from m3ddm_core.composite.compositor import composite
from m3ddm_core.evaluation.methods import ModelSettings, load_sampler
from m3ddm_core.evaluation.metrics import flicker, psnr, seam
from m3ddm_core.evaluation.protocol import Case
from m3ddm_core.outpaint.encode import encode_context, encode_global_frames
from m3ddm_core.outpaint.stages import outpaint_stage
from m3ddm_core.sampling.settings import with_preset
from m3ddm_core.synthetic.held_out import HELD_OUT
from m3ddm_core.vae import load_vae

from .spoiled_clips import known

MODELS = Path(__file__).resolve().parents[1] / "models"
FRAMES = 16
BLENDING = {"feather": 0, "colour_match": "steady", "blend": "gradient"}


def run(settings: ModelSettings, source: Tensor, start: tuple[Tensor, Tensor], placement: Placement) -> Tensor:
    """One pass over canvas and mask: finished frames."""
    vae = load_vae(settings.vae)
    state = encode_context(*start, encode_global_frames(source, vae.encode), vae.encode, 25.0, placement)
    state = outpaint_stage(state, 1, load_sampler(settings, "cpu"), seed=settings.seed)
    return composite(source, vae.decode(state.latents), placement, **BLENDING)


def detail(frames: Tensor, filled: Tensor) -> float:
    """Mean square of the differences between neighbours, both in the border."""
    down, across = frames.diff(dim=1), frames.diff(dim=2)
    parts = (down[:, filled[1:] & filled[:-1]], across[:, filled[:, 1:] & filled[:, :-1]])
    return sum(part.square().mean().item() for part in parts)


def measure(options: argparse.Namespace) -> None:
    """Print a row for each way of making the border, over all clips."""
    base = with_preset(ModelSettings(checkpoint=options.checkpoint, vae=options.vae), options.preset)
    rows: dict[str, list[tuple[float, ...]]] = {}
    for clip in HELD_OUT[:: len(HELD_OUT) // options.clips][: options.clips]:
        truth = clip.scene((options.size, options.size)).render(np.arange(FRAMES))
        large = Case("horizontal", 0.5).place(options.size, FRAMES)
        source, filled = known(large, truth)
        true = (truth * 255).round().byte().numpy()

        def note(
            name: str,
            result: Tensor,
            began: float,
            truth: Tensor = truth,
            true: np.ndarray = true,
            filled: Tensor = filled,
        ) -> None:
            made = (result * 255).round().byte().numpy()
            rows.setdefault(name, []).append(
                (
                    detail(result, filled) / detail(truth, filled),
                    psnr((truth - result)[:, filled].square().mean().item()),
                    seam(made, filled.numpy()),
                    flicker(true, made, filled.numpy()),
                    time.perf_counter() - began,
                )
            )

        note("truth", truth, time.perf_counter())
        small = with_canvas(large, options.canvas, "square")
        began = time.perf_counter()
        first = run(base, source, make_canvas(source, small), small)
        note(f"one pass at {options.canvas}", first, began)
        began = time.perf_counter()
        note(f"one pass at {options.size}", run(base, source, make_canvas(source, large), large), began)
        for denoise in options.denoise:
            settings = with_preset(
                ModelSettings(checkpoint=base.checkpoint, vae=base.vae, denoise=denoise), options.preset
            )
            began = time.perf_counter()
            result = run(settings, source, make_start_canvas(source, first, large), large)
            note(f"two passes, denoise {denoise:g}", result, began)
    print("| way | detail | PSNR | seam | flicker | seconds |\n| --- | --- | --- | --- | --- | --- |")
    for name, values in rows.items():
        means = np.mean(values, axis=0)
        print(f"| {name} | {means[0]:.2f} | {means[1]:.2f} | {means[2]:.2f} | {means[3]:.2f} | {means[4]:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default=str(MODELS / "m3ddm_demo.safetensors"))
    parser.add_argument("--vae", default=str(MODELS / "m3ddm_demo_vae.safetensors"))
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--canvas", type=int, default=128, help="side of the first canvas")
    parser.add_argument("--size", type=int, default=256, help="side of the second, and of the clips")
    parser.add_argument("--denoise", type=float, nargs="+", default=[0.3, 0.5])
    parser.add_argument("--preset", default="balanced")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
