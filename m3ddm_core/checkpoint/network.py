"""From any state dict that holds our network to exactly its tensors, its config, and a loaded network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..unet.config import M3DDM_CONFIG, UNetConfig
from ..unet.model import M3DDMUNet
from .recognise import WHERE_TO_GET, CheckpointError, Shape, most_common, recognise, shown

COUNTER = "num_batches_tracked"
STATISTICS = ("running_mean", "running_var", COUNTER)
PREDICTION_TYPES = ("epsilon", "v_prediction")
NAMED_AT_MOST = 5

MOST_LEVELS = 8
MOST_LAYERS = 8
MOST_CHANNELS = 1 << 14
"""The published network has 4 levels of 2 layers and 1,280 channels. A file's names and shapes decide what is built to
compare it with, so that they may not ask for more than could ever be one."""

# Only our network has these: where they lie is where it lies.
_ANCHORS = (
    "fps_embedding.linear_1.weight",
    "fps_embedding.linear_2.weight",
    "global_img_encoder.convolution.weight",
    "conv_out.temporal_conv.weight",
)
_WRAPPER_DEPTH = 4
_EMA = re.compile(r"(^|[._])ema([._]|$)")
_OPTIMIZER = re.compile(r"^(optimizer|optim|lr_scheduler|grad_scaler|scaler)")
_BLOCK = re.compile(r"(down|up)_blocks\.(\d{1,2})\.resnets\.(\d{1,2})\.(?:norm2\.bias|conv[12]\.spatial_conv\.bias)")
_GLOBAL_KEYS = re.compile(r".*\.transformer_blocks\.\d+\.attn2\.to_[kv]\.weight")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One network as read: exactly its tensors under their published names.

    ``state_dict`` holds float tensors as the file has them and int64 counters; tensors may be mapped from the file, so
    copy before writing to them. ``metadata`` is the file's own. ``source`` is the kind of container and ``prefix``
    what stood before each name; ``ignored`` counts tensors beside the network (averages, optimizer states).
    """

    state_dict: dict[str, Tensor]
    config: UNetConfig
    prediction_type: str = "epsilon"
    metadata: dict[str, str] = field(default_factory=dict)
    source: str = "state dict"
    prefix: str = ""
    ignored: int = 0

    @property
    def parameters(self) -> int:
        """Number of weights, without the statistics of the batch norms."""
        return sum(t.numel() for name, t in self.state_dict.items() if not name.endswith(STATISTICS))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that most weights have."""
        sizes: Counter[torch.dtype] = Counter()
        for name, tensor in self.state_dict.items():
            if not name.endswith(COUNTER):
                sizes[tensor.dtype] += tensor.numel()
        return sizes.most_common(1)[0][0]


def normalise(raw: Any, metadata: Mapping[str, str] | None = None, *, source: str = "state dict") -> Checkpoint:
    """Find the network in what a checkpoint file holds.

    ``raw`` is a dict of tensors, possibly inside wrappers (``state_dict``, a trainer's own) and under a prefix
    (``model.unet.``, ``module.``, ...); whatever lies beside the network is left out, averaged copies are used only
    where there is nothing else. ``metadata`` as `config_from_state_dict` takes it. ``raw`` is not changed.

    Raises `CheckpointError` when it is not an M3DDM network, whole and of the right shapes.
    """
    if not isinstance(raw, Mapping):
        raise CheckpointError(f"got an object of type {type(raw).__name__}, expected a dict of tensors; {WHERE_TO_GET}")
    metadata = dict(metadata or {})
    tensors = dict(_tensors(raw))
    prefix = _prefix(tensors)
    if prefix is None:
        raise _mismatch(tensors, M3DDM_CONFIG)
    if prefix:
        state_dict = {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    else:
        state_dict = {name: tensor for name, tensor in tensors.items() if not _is_training_state(name)}
    config = config_from_state_dict(state_dict, metadata)
    check_state_dict(state_dict, config)
    ignored = len(tensors) - len(state_dict)
    state_dict = {
        name: tensor.to(torch.int64) if name.endswith(COUNTER) else tensor for name, tensor in state_dict.items()
    }
    return Checkpoint(state_dict, config, _prediction_type(metadata), metadata, source, prefix, ignored)


def config_from_state_dict(state_dict: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> UNetConfig:
    """Read a network's sizes off its tensors' shapes.

    Heads, groups and eps leave no trace in shapes: they are ``attention_heads``, ``norm_num_groups`` and ``norm_eps``
    of ``metadata``, or else the family's (8, 32, 1e-5). Raises `CheckpointError` where sizes cannot be found or
    do not fit each other.
    """
    metadata = metadata or {}
    shapes = {name: tuple(tensor.shape) for name, tensor in state_dict.items()}
    widths, layers = _widths_and_layers(shapes)
    in_shape, out_shape = shapes.get("conv_in.weight", ()), shapes.get("conv_out.spatial_conv.weight", ())
    cross = most_common(s[1] for n, s in shapes.items() if len(s) == 2 and _GLOBAL_KEYS.fullmatch(n))
    if not all(widths) or not layers or not cross or len(in_shape) != 5 or len(out_shape) != 4:
        raise _mismatch(state_dict, M3DDM_CONFIG)
    _check_bounds(widths, layers, (cross, in_shape[1], out_shape[0]))

    config = UNetConfig(
        in_channels=in_shape[1],
        out_channels=out_shape[0],
        block_out_channels=widths,
        layers_per_block=layers,
        cross_attention_dim=cross,
        attention_heads=_number(metadata, "attention_heads", int, M3DDM_CONFIG.attention_heads),
        norm_num_groups=_number(metadata, "norm_num_groups", int, M3DDM_CONFIG.norm_num_groups),
        norm_eps=_number(metadata, "norm_eps", float, M3DDM_CONFIG.norm_eps, most=1),
    )
    if config.in_channels != 2 * config.out_channels + 1:
        raise CheckpointError(
            f"got a network with {config.in_channels} channels in and {config.out_channels} out, expected "
            f"{2 * config.out_channels + 1} in (noisy latents, masked-video latents, mask): it was trained for "
            f"another task than outpainting; {WHERE_TO_GET}"
        )
    for name, divisor in (("attention_heads", config.attention_heads), ("norm_num_groups", config.norm_num_groups)):
        if any(width % divisor for width in widths):
            raise CheckpointError(
                f"got {name} = {divisor} and widths {widths}, expected a number that divides every width; correct the "
                "file's metadata or its config.json"
            )
    return config


@lru_cache(maxsize=4)
def expected_shapes(config: UNetConfig) -> Mapping[str, Shape]:
    """Return names and shapes of every tensor of the network with this config. Nothing is allocated."""
    return {name: tuple(t.shape) for name, t in M3DDMUNet(config, device="meta").state_dict().items()}


def check_state_dict(state_dict: Mapping[str, Tensor], config: UNetConfig | None = None) -> None:
    """Compare with the network of ``config`` (None: read off the tensors), strictly.

    The batch norms' counters have to be there too, although nothing is computed from them: a file without them was
    made by a program that drops tensors. Raises `CheckpointError` that names at most five missing, unexpected
    and mis-shaped tensors each, with their number, and what the file looks like instead.
    """
    if config is None:
        config = config_from_state_dict(state_dict)
    shapes = {name: tuple(tensor.shape) for name, tensor in state_dict.items()}
    whole = shapes == expected_shapes(config)
    if not whole or any(not t.is_floating_point() for n, t in state_dict.items() if not n.endswith(COUNTER)):
        raise _mismatch(state_dict, config)


def build_unet(
    checkpoint: Checkpoint, dtype: torch.dtype | None = None, device: torch.device | str | None = None
) -> M3DDMUNet:
    """Return the network with the checkpoint's weights, in evaluation mode.

    ``dtype`` None keeps the checkpoint's; ``device`` None is the CPU. Weights are copied: the file may be replaced.
    """
    # Built without storage first: drawing initial values for 1.3 billion weights takes longer than reading them.
    network = M3DDMUNet(checkpoint.config, dtype=dtype or checkpoint.dtype, device="meta")
    network.to_empty(device=device or "cpu")
    network.load_state_dict(checkpoint.state_dict, strict=True)
    return network.eval()


def _tensors(raw: Mapping[Any, Any]) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of nested dicts under dotted names; whatever else a trainer stores is passed over.

    Level by level and each dict once, since they may hold each other.
    """
    level: list[tuple[str, Mapping[Any, Any]]] = [("", raw)]
    seen = {id(raw)}
    for _ in range(_WRAPPER_DEPTH + 1):
        below = []
        for prefix, found in level:
            for key, value in found.items():
                if isinstance(value, Tensor):
                    yield f"{prefix}{key}", value.detach()
                elif isinstance(value, Mapping) and id(value) not in seen:
                    seen.add(id(value))
                    below.append((f"{prefix}{key}.", value))
        level = below


def _prefix(names: Mapping[str, Any]) -> str | None:
    """Return what stands before our network's names; None where no network of ours is found."""
    votes: Counter[str] = Counter()
    for name in names:
        for anchor in _ANCHORS:
            if name == anchor or name.endswith(f".{anchor}"):
                votes[name[: -len(anchor)]] += 1
    return max(votes, key=lambda p: (not _is_training_state(p), votes[p], -len(p)), default=None)


def _is_training_state(name: str) -> bool:
    return bool(_EMA.search(name) or _OPTIMIZER.match(name))


def _widths_and_layers(shapes: Mapping[str, Shape]) -> tuple[tuple[int, ...], int | None]:
    """Return each level's width (0 where nothing tells it) and the layers of a block.

    Both halves of the network have a vote and the majority decides, so that a damaged tensor or a lost block is
    reported as such and not taken for another network.
    """
    found = [
        (match, shape[0]) for name, shape in shapes.items() if len(shape) == 1 and (match := _BLOCK.fullmatch(name))
    ]
    levels = 1 + max((int(match[2]) for match, _ in found), default=0)
    widths: list[list[int]] = [[] for _ in range(levels)]
    layers: Counter[int] = Counter()
    for match, width in found:
        block, layer = int(match[2]), int(match[3])
        if match[1] == "down":
            widths[block].append(width)
            layers[block] = max(layers[block], layer + 1)
        else:
            widths[levels - 1 - block].append(width)
    return tuple(most_common(seen) or 0 for seen in widths), most_common(layers.values())


def _check_bounds(widths: tuple[int, ...], layers: int, channels: tuple[int, ...]) -> None:
    if len(widths) > MOST_LEVELS or layers > MOST_LAYERS:
        raise CheckpointError(
            f"got a network of {len(widths)} levels with {layers} layers each, expected at most {MOST_LEVELS} with "
            f"{MOST_LAYERS}; take the original file again"
        )
    for number in (*widths, *channels):
        if not 0 < number <= MOST_CHANNELS:
            raise CheckpointError(
                f"got a network with a layer of {number:,} channels, expected 1 to {MOST_CHANNELS:,}; take the "
                "original file again"
            )


def _number(
    metadata: Mapping[str, str], key: str, convert: type[int] | type[float], default: Any, most: int = MOST_CHANNELS
) -> Any:
    text = metadata.get(key, default)
    try:
        number = convert(text)
    except (TypeError, ValueError):
        number = 0
    if not 0 < number <= most:
        raise CheckpointError(
            f"got {key} = {shown(repr(text))}, expected a positive number up to {most:,}; correct the file's "
            "metadata or its config.json"
        )
    return number


def _prediction_type(metadata: Mapping[str, str]) -> str:
    found = metadata.get("prediction_type", "epsilon")
    if found not in PREDICTION_TYPES:
        raise CheckpointError(
            f"got prediction_type = {shown(repr(found))}, expected {' or '.join(PREDICTION_TYPES)}; correct the file's "
            "metadata"
        )
    return found


def _mismatch(state_dict: Mapping[str, Tensor], config: UNetConfig) -> CheckpointError:
    shapes = {name: tuple(tensor.shape) for name, tensor in state_dict.items()}
    expected = expected_shapes(config)
    findings = {
        "missing": [name for name in expected if name not in shapes],
        "unexpected": [name for name in shapes if name not in expected],
        "of another shape": [
            f"{name} (got {shapes[name]}, expected {shape})"
            for name, shape in expected.items()
            if name in shapes and shapes[name] != shape
        ],
        "not floating point": [
            f"{name} (got {str(tensor.dtype).removeprefix('torch.')})"
            for name, tensor in state_dict.items()
            if name in expected and not name.endswith(COUNTER) and not tensor.is_floating_point()
        ],
    }
    parts = []
    for what, names in findings.items():
        if names:
            more = ", ..." if len(names) > NAMED_AT_MOST else ""
            parts.append(f"{len(names):,} {what}: {', '.join(map(shown, names[:NAMED_AT_MOST]))}{more}")
    kind = recognise(shapes)
    return CheckpointError(
        f"not an M3DDM checkpoint: got {len(shapes):,} tensors, expected {len(expected):,} ({'; '.join(parts)}). "
        f"It looks like {kind.name}. {kind.remedy}"
    )
