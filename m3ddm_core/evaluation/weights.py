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
"""At most so many names of what is wrong with a file are listed."""

CONVOLUTION = 4
"""Dimensions of a kernel."""

_NO_PICKLE = (ValueError, EOFError, IndexError, KeyError, AttributeError, ImportError, TypeError)
"""What unpickling raises at files that are no pickles."""


def read_arrays(path: Path, where: str) -> dict[str, np.ndarray]:
    """Open a pickle of nested dicts of NumPy arrays, as {"outer/inner": array}; nothing else in it is even looked up.

    Raises ValueError for a file of anything else; ``where`` says what was expected.
    """
    try:
        with path.open("rb") as file:
            return _flat(_ArraysOnly(file).load())
    # A file of another kind fails in whichever way its first bytes lead to.
    except (pickle.UnpicklingError, *_NO_PICKLE) as error:
        raise ValueError(f"{path.name}: got no pickle of arrays alone ({error}), expected {where}") from error


def read_torch(path: Path, where: str) -> dict[str, Tensor]:
    """Read a file of torch's own, of tensors alone. Raises ValueError for any other file."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, *_NO_PICKLE) as error:
        raise ValueError(f"{path.name}: got a file that cannot be read, expected {where}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path.name}: got a {type(found).__name__}, expected {where}")
    return found


def read_converted(path: Path, where: str) -> dict[str, Tensor]:
    """Read a safetensors file, as `convert-metric` writes it. Raises ValueError for any other file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ValueError(f"{path.name}: got no such file, expected {where}")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path.name}: got no safetensors file, expected {where}") from error


def read_backbone(path: Path, layers: Iterable[int], where: str) -> dict[str, Tensor]:
    """Read an image network's convolutions as "3.weight" and "3.bias", numbered as torchvision numbers its layers.

    ``path``: safetensors or torch's own format by torchvision's names, or a Flax pickle, which counts convolutions
    alone. ``layers``: the numbers of the convolutions. Raises ValueError for a file without them; ``where`` says what
    was expected.
    """
    found = _torchvisions(path, where)
    names = {f"{layer}.{kind}": f"features.{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    if "features.0.weight" not in found:
        # Flax counts its convolutions, torchvision all layers.
        counted = [f"{count}.{kind}" for count in range(len(names) // 2) for kind in ("weight", "bias")]
        names = dict(zip(names, counted, strict=True))
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


def _torchvisions(path: Path, where: str) -> dict[str, Tensor]:
    """Tensors by torchvision's names ("features.3.weight"), or of a Flax file by the number of the convolution."""
    if path.suffix == ".safetensors":
        return read_converted(path, where)
    try:
        return _from_flax(read_arrays(path, where))
    # An old torch file holds several pickles, the first of them a number; a new one is a zip.
    except ValueError:
        return read_torch(path, where)


def _from_flax(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """The convolutions of the first network of a Flax file, such as "VGG16_0/Conv_3/kernel"."""
    first = next(iter(arrays), "").rpartition("/Conv_")[0]
    found = {}
    for name, array in arrays.items():
        network, _, part = name.rpartition("/Conv_")
        number, _, kind = part.partition("/")
        if network != first:
            continue
        tensor = torch.from_numpy(array.copy())
        if kind == "kernel" and tensor.ndim == CONVOLUTION:
            found[f"{number}.weight"] = rearrange(tensor, "h w i o -> o i h w").contiguous()
        elif kind == "bias":
            found[f"{number}.bias"] = tensor
    return found


def _flat(tree: object, above: str = "") -> dict[str, np.ndarray]:
    if isinstance(tree, np.ndarray) and above and tree.dtype.kind == "f":
        return {above: tree}
    if not isinstance(tree, dict):
        raise pickle.UnpicklingError(f"{above or 'it'} is {type(tree).__name__}")
    found: dict[str, np.ndarray] = {}
    for name, part in tree.items():
        found |= _flat(part, f"{above}/{name}" if above else str(name))
    return found


class _ArraysOnly(pickle.Unpickler):
    """Opens a pickle of nested dicts of NumPy arrays, and nothing that could run."""

    def persistent_load(self, pid: object) -> Any:
        raise pickle.UnpicklingError("it names what lies elsewhere")

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if name == "_reconstruct" and module.startswith("numpy"):
            return np.ndarray(0).__reduce__()[0]
        raise pickle.UnpicklingError(f"{module}.{name} is not an array")


def _some(names: list[str]) -> str:
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
