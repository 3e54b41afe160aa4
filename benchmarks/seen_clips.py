r"""Clips to measure seen pixels on: cameras that turn in panoramas, and windows that travel over a film.

    python -m benchmarks.seen_clips OUT --panoramas FOLDER --film bbb.mp4
    python -m m3ddm_core evaluate OUT RESULTS --direction horizontal --ratio 0.25 \
        --method telea --method seen:fill=telea

`recipes/fetch_material.py` fetches both. The clips are folders of PNGs, 256x256.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from m3ddm_core.evaluation.film import middle
from m3ddm_core.frames import resize
from m3ddm_core.material.film import held_out_shots
from m3ddm_core.material.panoramas import read_panorama
from m3ddm_core.training.sources.views import Turning
from m3ddm_core.video.indexed import IndexedVideo

SIZE, FRAMES, SEED = 256, 40, 5
TURNS = (
    ("pmndrs/city.exr", 60, 0.7),
    ("pmndrs/venice.exr", 75, 0.9),
    ("pmndrs/hall.exr", 50, 0.6),
    ("open3d/konzerthaus_skybox.ktx", 60, 0.7),
    ("blender/courtyard.exr", 65, 0.8),
    ("pmndrs/park.exr", 40, 0.5),
)
"""Panorama, the lens's angle in degrees, and degrees that the camera turns by from frame to frame."""
SHOTS = 6
PAD = 24
"""Pixels by which the film is higher than the window that travels over it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--panoramas", type=Path, required=True)
    parser.add_argument("--film", type=Path, required=True)
    arguments = parser.parse_args()
    draw = np.random.default_rng(SEED)
    for name, lens, step in TURNS:
        frames = turning(torch.from_numpy(read_panorama(arguments.panoramas / name, 1024)), lens, step, draw)
        save(frames, arguments.out / f"turn-{Path(name).stem.split('_')[0]}-{lens}")
    film = IndexedVideo.of(arguments.film)
    for shot in [shot for shot in held_out_shots() if len(shot) >= FRAMES][:SHOTS]:
        pictures = film.pictures(range(*middle(shot, FRAMES)))
        frames = travelling(torch.stack([torch.as_tensor(picture) for _, picture in pictures]), draw)
        save(frames, arguments.out / f"pan-{shot.number:03d}")


def turning(panorama: Tensor, lens: float, step: float, draw: np.random.Generator) -> Tensor:
    """Frames (n, SIZE, SIZE, 3), uint8, of a camera that turns to the side, nods, rolls and trembles."""
    start, tremble = draw.uniform(0, 2 * math.pi), np.cumsum(draw.normal(0, 0.03, (FRAMES, 2)), axis=0)
    rotations = torch.stack(
        [
            about(1, start + math.radians(step * i + tremble[i, 0]))
            @ about(0, math.radians(5 * math.sin(i / 17) + tremble[i, 1]))
            @ about(2, math.radians(math.sin(i / 11)))
            for i in range(FRAMES)
        ]
    )
    focal = SIZE / 2 / math.tan(math.radians(lens) / 2)
    return Turning(panorama, rotations, torch.full((FRAMES,), focal), (SIZE, SIZE)).render("cpu")


def about(axis: int, angle: float) -> Tensor:
    """A rotation (3, 3) about x, y or z."""
    one, other = [(1, 2), (2, 0), (0, 1)][axis]
    rotation = torch.eye(3)
    rotation[one, one] = rotation[other, other] = math.cos(angle)
    rotation[other, one], rotation[one, other] = math.sin(angle), -math.sin(angle)
    return rotation


def travelling(film: Tensor, draw: np.random.Generator) -> Tensor:
    """A window (n, SIZE, SIZE, 3), uint8, that travels over frames (n, h, w, 3), float, 0..1, and trembles."""
    height = SIZE + PAD
    film = resize(film, (round(height * film.shape[2] / film.shape[1]), height)).movedim(-1, 1)
    width, way = film.shape[-1], film.shape[-1] - SIZE - 8
    left = 4 + way * (0.5 - 0.5 * np.cos(np.linspace(0, np.pi, FRAMES))) + draw.normal(0, 0.3, FRAMES)
    top = PAD / 2 + 8 * np.sin(np.arange(FRAMES) / 9) + draw.normal(0, 0.3, FRAMES)
    row, column = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    frames = []
    for frame, x, y in zip(film, left, top, strict=True):
        grid = torch.stack([(column + x) / width, (row + y) / height], dim=-1) * 2 - 1
        frames.append(F.grid_sample(frame[None], grid[None].float(), mode="bicubic", align_corners=False)[0])
    return (torch.stack(frames).movedim(1, -1).clamp(0, 1) * 255).round().to(torch.uint8)


def save(frames: Tensor, folder: Path) -> None:
    """Write frames (n, h, w, 3), uint8, as PNGs."""
    from PIL import Image

    folder.mkdir(parents=True)
    for number, frame in enumerate(frames.numpy()):
        Image.fromarray(frame).save(folder / f"{number:05d}.png")


if __name__ == "__main__":
    main()
