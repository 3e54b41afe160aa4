"""Checkpoints of the M3DDM family: recognised, checked, loaded, saved and converted."""

from __future__ import annotations

from .container import check_file
from .finite import check_finite
from .network import Checkpoint, build_unet, check_state_dict, config_from_state_dict, expected_shapes, normalise
from .read import read_checkpoint, read_tensors
from .recognise import CheckpointError, Kind, recognise
from .save import DTYPES, save_checkpoint

__all__ = [
    "DTYPES",
    "Checkpoint",
    "CheckpointError",
    "Kind",
    "build_unet",
    "check_file",
    "check_finite",
    "check_state_dict",
    "config_from_state_dict",
    "expected_shapes",
    "normalise",
    "read_checkpoint",
    "read_tensors",
    "recognise",
    "save_checkpoint",
]
