"""Weights of the networks that measure, out of the files that the package registries have."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

LISTED = 3
"""So many names of what is wrong with a file are told."""


def read_arrays(path: Path) -> dict[str, Any]:
    """Open a pickle of nested dicts of NumPy arrays; nothing else in it is even looked up.

    Raises pickle.UnpicklingError for a pickle of anything else, and for what is no pickle.
    """
    with path.open("rb") as file:
        try:
            tree = _ArraysOnly(file).load()
        # A file of another kind fails in whichever way its first bytes lead to.
        except (ValueError, EOFError, IndexError, KeyError, AttributeError, ImportError, TypeError) as error:
            raise pickle.UnpicklingError(str(error)) from error
    if not isinstance(tree, dict):
        raise pickle.UnpicklingError(f"it holds a {type(tree).__name__}")
    return tree


def read_backbone(path: Path, layers: Iterable[int], where: str) -> dict[str, Tensor]:
    """Read an image network's convolutions as "3.weight" and "3.bias", numbered as torchvision numbers its layers.

    ``path``: safetensors or torch's own format by torchvision's names, or a Flax pickle, which counts convolutions
    alone. ``layers``: the numbers of the convolutions. Raises ValueError for a file without them; ``where`` says what
    was expected.
    """
    found = _read(path, where)
    names = {f"{layer}.{kind}": f"features.{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    if "features.0.weight" not in found:
        counted = zip(names, (f"{count}.{kind}" for count in range(len(names)) for kind in ("weight", "bias")))  # noqa: B905
        names = dict(counted)
    if missing := [theirs for theirs in names.values() if theirs not in found]:
        raise ValueError(f"{path.name}: got a file without {_some(missing)}, expected {where}")
    return {name: found[theirs] for name, theirs in names.items()}


def load_exactly(module: nn.Module, tensors: Mapping[str, Tensor], file: str, where: str) -> None:
    """Load weights whose names and shapes are just the module's. Raises ValueError, in one line, where they are not.

    ``file`` names what they come from, ``where`` what was expected.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = [f"{name} missing" for name in wanted if name not in given]
    wrong += [f"{name} unknown" for name in given if name not in wanted]
    wrong += [
        f"{name} {given[name]} instead of {shape}" for name, shape in wanted.items() if given.get(name, shape) != shape
    ]
    if wrong:
        raise ValueError(f"{file}: got other weights ({_some(wrong)}), expected {where}")
    module.load_state_dict(dict(tensors))


def read_converted(path: Path, where: str) -> dict[str, Tensor]:
    """Read the safetensors file that `convert-metric` wrote. Raises ValueError where it is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ValueError(f"{path.name}: got no such file, expected {where}")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path.name}: got no safetensors file, expected {where}") from error


def _read(path: Path, where: str) -> dict[str, Tensor]:
    """Tensors by torchvision's names ("features.3.weight"), or of a Flax file by the number of the convolution."""
    if path.suffix == ".safetensors":
        return read_converted(path, where)
    try:
        return _from_flax(read_arrays(path))
    # An old torch file holds several pickles, the first of them a number; a new one is a zip.
    except pickle.UnpicklingError:
        pass
    return read_torch(path, where)


def read_torch(path: Path, where: str) -> dict[str, Tensor]:
    """Read a file of torch's own, of tensors alone. Raises ValueError where it is none."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path.name}: got a file that cannot be read, expected {where}") from error


class _ArraysOnly(pickle.Unpickler):
    """Opens a pickle of nested dicts of NumPy arrays, and nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if name == "_reconstruct" and module.startswith("numpy"):
            return np.ndarray(0).__reduce__()[0]
        raise pickle.UnpicklingError(f"{module}.{name} is not an array")


def _from_flax(tree: dict[str, Any]) -> dict[str, Tensor]:
    network = next(iter(tree.get("params", tree).values()))
    found = {}
    for name, layer in network.items():
        number = name.rpartition("_")[2]
        found[f"{number}.weight"] = rearrange(torch.from_numpy(layer["kernel"].copy()), "h w i o -> o i h w")
        found[f"{number}.bias"] = torch.from_numpy(layer["bias"].copy())
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
