"""Reading golden files: any folder of the format that tests/golden/README.md describes."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from m3ddm_core.unet import M3DDM_CONFIG, M3DDMUNet, UNetConfig

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
PREFIXES = ("unet_forward", "clip_sampling", "video_", "plans")


def helper(name: str) -> ModuleType:
    """Load a module of tests/golden, which is a folder of data and no package."""
    spec = importlib.util.spec_from_file_location(name, GOLDEN / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def files(folder: Path) -> dict[str, list[Path]]:
    """Golden files of a folder by prefix; fails where there is nothing to check."""
    found = {
        prefix: sorted(p for p in folder.glob(f"{prefix}*") if p.suffix in (".safetensors", ".json"))
        for prefix in PREFIXES
    }
    if not any(found.values()):
        raise FileNotFoundError(f"{folder} holds no golden file: none begins with {', '.join(PREFIXES)}")
    return found


class GoldenFile:
    """Tensors and decoded metadata of one golden safetensors file."""

    def __init__(self, path: Path):
        self.handle = safe_open(path, "pt")
        self.names = frozenset(self.handle.keys())
        self.metadata: dict[str, Any] = {k: decode(v) for k, v in self.handle.metadata().items()}

    def __getitem__(self, name: str) -> Tensor:
        return self.handle.get_tensor(name)

    @property
    def config(self) -> UNetConfig:
        widths = self.metadata.get("block_out_channels", "32,32,64,64")
        widths = widths.split(",") if isinstance(widths, str) else widths
        return dataclasses.replace(M3DDM_CONFIG, block_out_channels=tuple(int(width) for width in widths))

    @property
    def salt(self) -> int:
        return int(self.metadata.get("salt", 0))

    def network(self) -> M3DDMUNet:
        return seeded_network(self.config, self.salt)


def decode(value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def seeded_weights(config: UNetConfig, salt: int = 0) -> dict[str, Tensor]:
    """State dict of a network with the golden files' weights."""
    shapes = {name: tuple(t.shape) for name, t in M3DDMUNet(config, device="meta").state_dict().items()}
    arrays = helper("seeded_weights").seeded_state_dict(shapes, salt)
    return {name: torch.as_tensor(array) for name, array in arrays.items()}


def seeded_network(config: UNetConfig, salt: int = 0) -> M3DDMUNet:
    network = M3DDMUNet(config)
    network.load_state_dict(seeded_weights(config, salt))
    return network.eval()


def relative_difference(ours: Tensor, golden: Tensor) -> float:
    """Largest difference over largest value; ``pytest -rP`` shows the figures of a run."""
    assert ours.shape == golden.shape, f"got {tuple(ours.shape)}, expected {tuple(golden.shape)}"
    difference = ((ours - golden).abs().max() / golden.abs().max()).item()
    print(f"relative difference {difference:.2e}")
    return difference
