"""Some three hundred checkpoint files that are broken, mistaken or hostile, made from one small network.

Seeded: the same folder every time. Each file is a `Case` with the one outcome that it has to have.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import pickletools
import random
import shutil
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from m3ddm_core.unet import M3DDM_CONFIG

SMALL = replace(M3DDM_CONFIG, block_out_channels=(32, 32), layers_per_block=1, cross_attention_dim=32)
"""592 tensors, 1.4 MB in float16: the family's heads and groups, so that a pickle needs no metadata."""

RIGHT, TOLD, EITHER = "right", "told", "either"
"""Loaded with the small network's weights; refused in one line; or, where a flipped bit may hit nothing but a weight's
value, one of both with nothing else allowed."""


@dataclass(frozen=True)
class Case:
    """A file or folder to read: ``write`` makes it in an empty folder and returns its path."""

    kind: str
    name: str
    write: Callable[[Path], Path]
    outcome: str = TOLD
