"""The files of the demonstration: small, of the formats they claim, and trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from m3ddm_core.checkpoint import read_checkpoint
from m3ddm_core.evaluation.methods import parse_method
from m3ddm_core.evaluation.protocol import Case, Protocol
from m3ddm_core.evaluation.synthetic import held_out_clips

MODELS = Path(__file__).resolve().parents[2] / "models"
NETWORK, VAE = MODELS / "m3ddm_demo.safetensors", MODELS / "m3ddm_demo_vae.safetensors"


def test_they_are_small_and_tell_what_they_predict() -> None:
    assert NETWORK.stat().st_size <= 16e6 and VAE.stat().st_size <= 6e6
    assert read_checkpoint(NETWORK).prediction_type == "v_prediction"


def test_they_continue_a_scene_that_they_have_never_seen() -> None:
    """Two thirds of a landscape are missing: sky goes on as sky, and ground as ground."""
    (source,) = (source for source in held_out_clips() if source.name.endswith("landscape-slow-horizontal"))
    clip = source.load(Protocol(size=64, frames=16))
    placement = Case("horizontal", 0.66).place(64)
    known, filled = clip.known(placement), clip.regions(placement)["filled"]
    method = parse_method(
        "m3ddm:preset=fast,context_scale=1,global_scale=1,global_frames=4,fill=smooth",
        {"checkpoint": str(NETWORK), "vae": str(VAE)},
    )
    made = method(known, placement, clip.fps, lambda share: None, lambda numbers: clip.frames[list(numbers)])
    error = np.square(made[:, filled] - clip.frames[:, filled].astype(float)).mean()
    plain = np.square(known.mean(axis=(0, 1, 2)) - clip.frames[:, filled].astype(float)).mean()
    assert error < 0.7 * plain, f"{error / plain:.2f} of the error of one plain colour"
