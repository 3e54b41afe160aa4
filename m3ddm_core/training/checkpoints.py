"""The folder of a run: checkpoints that are there whole or not at all, and the losses beside them.

A checkpoint is written under another name and takes its own when all of it is on the disk. Whatever happens, the
newest complete one is a place to go on from.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

STEP = re.compile(r"step-(\d{8})")
ABOUT = "run.json"
HEADER = "step,loss,grad_norm,lr\n"

MAY_CHANGE = {
    "run": {
        "output",
        "steps",
        "workers",
        "save_every",
        "keep",
        "log_every",
        "sample_every",
        "export_dtype",
        "compile",
    },
    "data": {"cache"},
    "use": {"sampler", "scheduler", "steps", "context_scale", "global_scale", "canvas_size"},
    "material": {"film", "photo", "panorama", "cutout", "store"},
    "vae": {"path"},
    "network": {"weights", "gradient_checkpointing"},
    "start": {"weights"},
    "worth": {"lpips_backbone"},
    "optimizer": {"lr", "warmup", "schedule", "clip"},
}
"""Settings that a run may be resumed with other values of, on purpose; with any other change it is another run."""


class SaveError(OSError):
    """A checkpoint that could not be written; the one before is still there."""


class RunFolder:
    """``checkpoints/step-00000200``, ``loss.csv`` and whatever else a run writes under one folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.checkpoints = folder / "checkpoints"
        self.losses = folder / "loss.csv"

    def latest(self) -> tuple[int, Path] | None:
        """Return the newest complete checkpoint's step and folder."""
        if not self.checkpoints.is_dir():
            return None
        found = [(int(match[1]), path) for path in self.checkpoints.iterdir() if (match := STEP.fullmatch(path.name))]
        return max(found, default=None)

    def save(self, step: int, about: dict[str, Any], write: Callable[[Path], None], keep: int) -> Path:
        """Let ``write`` fill a folder, put ``about`` beside it, and make it checkpoint ``step``; then drop old ones.

        Raises `SaveError` where the disk is full or fails; nothing of an earlier checkpoint is touched.
        """
        final = self.checkpoints / f"step-{step:08d}"
        partial = self.checkpoints / f".step-{step:08d}.partial"
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            write(partial)
            (partial / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
            _sync(partial)
            shutil.rmtree(final, ignore_errors=True)
            os.replace(partial, final)
            _sync_folder(self.checkpoints)
        # torch reports a full disk as a RuntimeError, safetensors as an error of its own.
        except (OSError, RuntimeError, SafetensorError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            last = self.latest()
            kept = f"{last[1]} is whole: make room and go on from there with --resume" if last else "none was saved yet"
            raise SaveError(f"got {error} while saving the checkpoint of step {step}; {kept}") from error
        self._drop_old(keep)
        return final

    def read_about(self, checkpoint: Path) -> dict[str, Any]:
        """Return what `save` was given beside the weights."""
        return json.loads((checkpoint / ABOUT).read_text(encoding="utf-8"))

    def append_losses(self, rows: Iterable[tuple[int, float, float, float]]) -> None:
        """Add (step, loss, norm of the gradient, learning rate) to the list of losses, every digit of them."""
        if not self.losses.exists():
            self.losses.write_text(HEADER, encoding="utf-8")
        with self.losses.open("a", encoding="utf-8") as file:
            file.writelines(f"{step},{loss!r},{norm!r},{lr!r}\n" for step, loss, norm, lr in rows)

    def forget_losses_after(self, step: int) -> None:
        """Cut the list of losses after a step: what follows was not saved and is computed again."""
        if not self.losses.exists():
            return
        lines = self.losses.read_text(encoding="utf-8").splitlines(keepends=True)[1:]
        whole = [line for line in lines if line.endswith("\n") and line.count(",") == 3]
        kept = [line for line in whole if int(line.split(",")[0]) <= step]
        partial = self.losses.with_name(".loss.csv.partial")
        partial.write_text(HEADER + "".join(kept), encoding="utf-8")
        os.replace(partial, self.losses)

    def _drop_old(self, keep: int) -> None:
        complete = sorted(path for path in self.checkpoints.iterdir() if STEP.fullmatch(path.name))
        leftovers = [path for path in self.checkpoints.glob(".*.partial")]
        for path in [*complete[:-keep], *leftovers]:
            # Renamed first: a checkpoint half deleted must not look like one.
            doomed = path.with_name(f".{path.name.lstrip('.')}.partial")
            os.replace(path, doomed)
            shutil.rmtree(doomed, ignore_errors=True)


def differences(now: dict[str, dict[str, Any]], then: dict[str, dict[str, Any]]) -> list[str]:
    """Name the settings, among those that make a run what it is, that differ from a checkpoint's."""
    return [
        f"{section}.{key}: {then.get(section, {}).get(key)!r} when it was saved, {value!r} now"
        for section, values in now.items()
        for key, value in values.items()
        if key not in MAY_CHANGE.get(section, ()) and then.get(section, {}).get(key) != value
    ]


def _sync(folder: Path) -> None:
    """Wait until every file of a folder is on the disk: a rename must not overtake what it names."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
