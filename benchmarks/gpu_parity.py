"""Parity of the network with the published code's golden data: any device, every dtype, every attention kernel.

    python -m benchmarks.gpu_parity --device cuda --output OUT

prints the largest difference over the largest value of every combination, writes ``parity.json`` and ends with 1 where
one is above its tolerance. A kernel that torch does not have for a dtype or device is named as such and is no failure;
torch's own choice has to work. The published width is compared layer by layer: attention at the network's own sizes
against float64.

On a CPU, where half precision is slow, the network is asked for each file's first case, with the attention that the
pack has for CPUs, and the kernels of attention alone.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from m3ddm_core.unet import M3DDMUNet
from m3ddm_core.unet.cpu import attention
from m3ddm_core.unet.scaled_dot_product import sdpa
from tests.helpers.golden_files import GOLDEN, GoldenFile, files, seeded_weights

TOLERANCES = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
"""Of the whole network; its layers' rounding adds up."""
LAYER_TOLERANCES = {"float32": 1e-5, "float16": 4e-3, "bfloat16": 3e-2}
"""Of one attention."""
KERNELS = {
    "chosen": None,
    "math": SDPBackend.MATH,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}
"""Attention paths: torch's own choice among its kernels, and each of them."""
SIZES = ((1024, 1024, 40), (4096, 196, 40), (256, 256, 80), (64, 64, 160), (16, 16, 40))
"""Queries, keys and width of a head, at 256 pixels; eight heads."""

NO_KERNEL = ("No available kernel", "No viable backend")
"""How torch says that a kernel cannot do it."""

Record = dict[str, Any]


def main() -> int:
    """Compare all, print and write it; 1 where something is too far off."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", type=Path, help="folder for parity.json")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    found = []
    for record in compare(options.device):
        found.append(record)
        print(line(record), flush=True)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "parity.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(any(is_failure(record) for record in found))


def compare(device: str) -> Iterator[Record]:
    """Yield a record of each comparison: ``what``, ``dtype``, ``kernel``, ``difference`` or why there is ``none``."""
    for path in files(GOLDEN)["unet_forward"]:
        golden = GoldenFile(path)
        weights = seeded_weights(golden.config, golden.salt)
        for dtype in TOLERANCES:
            network = M3DDMUNet(golden.config, attention=sdpa if device != "cpu" else attention)
            network.load_state_dict(weights)
            network = network.eval().to(device, getattr(torch, dtype))
            for kernel in KERNELS if device != "cpu" else ("chosen",):
                yield _record(path.stem, dtype, kernel, partial(network_difference, network, golden))
    for size in SIZES:
        for dtype in TOLERANCES:
            what = f"attention {size[0]} x {size[1]}, {size[2]} wide"
            for kernel in KERNELS:
                yield _record(what, dtype, kernel, partial(attention_difference, size, getattr(torch, dtype), device))


def _record(what: str, dtype: str, kernel: str, measure: Callable[[], float]) -> Record:
    record = {"what": what, "dtype": dtype, "kernel": kernel}
    try:
        with torch.inference_mode(), _only(kernel):
            return {**record, "difference": measure()}
    except RuntimeError as error:
        # Torch's own choice has no such excuse.
        if kernel == "chosen" or not str(error).startswith(NO_KERNEL):
            raise
        return {**record, "none": str(error).split(".")[0]}


def _only(kernel: str) -> AbstractContextManager:
    backend = KERNELS[kernel]
    return nullcontext() if backend is None else sdpa_kernel(backend)


def network_difference(network: M3DDMUNet, golden: GoldenFile) -> float:
    """The largest relative difference of a golden file's cases, computed as the network's weights are."""
    weight = next(network.parameters())
    found = []
    cases = golden.metadata["cases"]
    for case in cases if weight.device.type != "cpu" else cases[:1]:
        name = case["case"]
        sample = golden[f"{name}.sample"].to(weight)
        tokens = network.encode_global(golden[f"{name}.global_latents"].to(weight))
        timesteps, fps = (torch.full(sample.shape[:1], case[key], device=weight.device) for key in ("timestep", "fps"))
        found.append(relative_difference(network(sample, timesteps, tokens, fps), golden[f"{name}.output"]))
    return max(found)


def attention_difference(size: tuple[int, int, int], dtype: torch.dtype, device: str, heads: int = 8) -> float:
    """The relative difference of one attention, ``size`` (queries, keys, width of a head), from float64's."""
    queries, keys, width = size
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, n, heads * width, generator=generator).to(dtype) for n in (queries, keys, keys))
    expected = _by_definition(*(t.double().unflatten(-1, (heads, width)) for t in (q, k, v))).flatten(-2)
    return relative_difference(sdpa(q.to(device), k.to(device), v.to(device), heads), expected)


def _by_definition(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax(q k / sqrt(d)) v over (b, n, heads, d)."""
    weights = (torch.einsum("b n h d, b m h d -> b h n m", q, k) / math.sqrt(q.shape[-1])).softmax(-1)
    return torch.einsum("b h n m, b m h d -> b n h d", weights, v)


def relative_difference(ours: Tensor, expected: Tensor) -> float:
    """Largest difference over largest value; infinite where ours is not finite."""
    ours, expected = ours.double().cpu(), expected.double()
    difference = ((ours - expected).abs().max() / expected.abs().max()).item()
    return difference if math.isfinite(difference) else math.inf


def is_failure(record: Record) -> bool:
    """Whether a record is above its tolerance."""
    tolerances = LAYER_TOLERANCES if record["what"].startswith("attention") else TOLERANCES
    return record.get("difference", 0.0) > tolerances[record["dtype"]]


def line(record: Record) -> str:
    """A record for the eye."""
    told = f"{record['difference']:.1e}" if "difference" in record else f"no such kernel: {record['none']}"
    return f"{record['what']:32s} {record['dtype']:9s} {record['kernel']:10s} {told}{'  FAILED' * is_failure(record)}"


if __name__ == "__main__":
    sys.exit(main())
