"""A clip that is outpainted to be compared with itself.

`python -m tests.helpers.same_again CHECKPOINT` does so in another process, and prints the hash of what it
made. The tests' small network under all of its guidance, the demonstration's autoencoder, three levels, a blended seam.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import torch

from m3ddm_core.canvas.placement import place
from m3ddm_core.models import load_models, load_network
from m3ddm_core.pipeline import outpaint_frames
from m3ddm_core.sampling.settings import SamplingSettings
from m3ddm_core.vae import load_vae

VAE = Path(__file__).resolve().parents[2] / "models" / "m3ddm_demo_vae.safetensors"
FRAMES, SIDE = 52, 32
SETTINGS = SamplingSettings(1)


def made(checkpoint: str, *, threads: int = 1, clips_per_batch: int = 1) -> torch.Tensor:
    """Finished frames (52, 32, 56, 3), float, 0..1, of smooth noise that moves a pixel a frame."""
    noise = torch.rand(1, 3, 6, (SIDE + FRAMES) // 6, generator=torch.Generator().manual_seed(0))
    wide = torch.nn.functional.interpolate(noise, (SIDE, SIDE + FRAMES), mode="bilinear")[0]
    frames = torch.stack([wide[:, :, number : number + SIDE] for number in range(FRAMES)]).movedim(1, -1)
    models = load_models(load_network(checkpoint), load_vae(VAE))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return outpaint_frames(
            frames,
            models,
            place((SIDE, SIDE), ratio="16:9", canvas_size=SIDE),
            25.0,
            settings=SETTINGS.changed({"clips_per_batch": clips_per_batch}),
            seed=3,
            blending={"blend": "gradient", "colour_match": "steady"},
        )
    finally:
        torch.set_num_threads(before)


def hashed(frames: torch.Tensor) -> str:
    return hashlib.sha256(frames.numpy().tobytes()).hexdigest()


if __name__ == "__main__":
    print(hashed(made(sys.argv[1])))
