"""What a run shows of itself: curves in TensorBoard, and clips outpainted by the averaged weights so far."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor


class Curves:
    """TensorBoard's event files of a run; values written after ``step`` by an earlier try are hidden."""

    def __init__(self, folder: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=step + 1)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to each curve."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def video(self, name: str, frames: Tensor, step: int, fps: float) -> None:
        """Add a clip (n, h, w, 3), float, 0..1, as the moving picture that TensorBoard shows."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        height, width = frames.shape[1:3]
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=gif(frames, fps))
        self.writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), step)

    def close(self) -> None:
        """Write what is still to be written."""
        self.writer.close()


def draw_losses(table: Path, picture: Path) -> bool:
    """Draw the losses of a ``loss.csv``, each step's and their mean around it. Returns False without matplotlib.

    A step's loss depends most of all on the timesteps that were drawn: only the mean tells whether it falls.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    with table.open(encoding="utf-8") as file:
        rows = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    steps, losses = np.array(rows).reshape(-1, 2).T
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, losses, color="C0", alpha=0.25, linewidth=0.6, label="of each step")
    if width := len(losses) // 20:
        window = np.ones(2 * width + 1) / (2 * width + 1)
        axes.plot(steps[width:-width], np.convolve(losses, window, "valid"), color="C0", label=f"mean of {len(window)}")
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.legend()
    axes.grid(alpha=0.3, which="both")
    figure.savefig(picture, dpi=120)
    return True


def to_bytes(frames: Tensor) -> Tensor:
    """Round frames in 0..1 to uint8."""
    return (frames.float().clamp(0, 1) * 255).round().to(torch.uint8).cpu()


def gif(frames: Tensor, fps: float) -> bytes:
    """Encode frames (n, h, w, 3) as an endless GIF."""
    from PIL import Image

    pictures = [Image.fromarray(frame.numpy()) for frame in to_bytes(frames)]
    buffer = io.BytesIO()
    pause = max(20, round(1000 / fps))
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=pause, loop=0)
    return buffer.getvalue()


def side_by_side(*clips: Tensor) -> Tensor:
    """Put clips (n, h, w, 3) of one shape next to one another."""
    return rearrange(torch.stack([clip.cpu() for clip in clips]), "clips n h w c -> n h (clips w) c")
