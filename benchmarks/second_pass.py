"""What a second pass does for the border: ``python -m benchmarks.second_pass --checkpoint FILE --vae FILE``.

Held-out synthetic clips lose half of their width and get it back in one pass on a small canvas, in one on a canvas of
full size, and in two. Of the border: sharpness, peak signal-to-noise ratio, seam and flicker as ``evaluate`` measures
them, and seconds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from torch import Tensor

from m3ddm_core.canvas.placement import Placement, with_canvas
from m3ddm_core.evaluation.metrics import flicker, psnr, seam, sharpness
from m3ddm_core.evaluation.protocol import Case
from m3ddm_core.models import load_models, load_network
from m3ddm_core.pipeline import outpaint_frames
from m3ddm_core.sampling.settings import preset_settings
from m3ddm_core.synthetic.held_out import HELD_OUT
from m3ddm_core.vae import load_vae

from .spoiled_clips import known

MODELS = Path(__file__).resolve().parents[1] / "models"
FRAMES = 16
BLENDING = {"feather": 0, "colour_match": "steady", "blend": "gradient"}


def measure(options: argparse.Namespace) -> None:
    """Print a row for each way of making the border, over all clips."""
    models = load_models(load_network(options.checkpoint), load_vae(options.vae))
    settings = preset_settings(options.preset, {}).beside(models.advice.sampling)

    def run(source: Tensor, placement: Placement, pictures: Tensor | None = None, denoise: float = 1.0) -> Tensor:
        once = settings.changed({"denoise": denoise})
        return outpaint_frames(source, models, placement, 25.0, settings=once, pictures=pictures, blending=BLENDING)

    rows: dict[str, list[tuple[float, ...]]] = {}
    for clip in HELD_OUT[:: len(HELD_OUT) // options.clips][: options.clips]:
        truth = clip.scene((options.size, options.size)).render(np.arange(FRAMES))
        large = Case("horizontal", 0.5).place(options.size)
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
                    sharpness(true, made, filled.numpy()),
                    psnr((truth - result)[:, filled].square().mean().item()),
                    seam(made, filled.numpy()),
                    flicker(true, made, filled.numpy()),
                    time.perf_counter() - began,
                )
            )

        note("truth", truth, time.perf_counter())
        small = with_canvas(large, options.canvas, "square")
        began = time.perf_counter()
        first = run(source, small)
        note(f"one pass at {options.canvas}", first, began)
        began = time.perf_counter()
        note(f"one pass at {options.size}", run(source, large), began)
        for denoise in options.denoise:
            began = time.perf_counter()
            result = run(source, large, first, denoise)
            note(f"two passes, denoise {denoise:g}", result, began)
    print("| way | sharpness | PSNR | seam | flicker | seconds |\n| --- | --- | --- | --- | --- | --- |")
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
