"""The TOML file that describes a training run: what may stand in it, within which bounds, and how it is read.

Everything wrong with a file is told at once: a run that takes days should not fail four times before it starts.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from .masks import MAX_STRIDE, RATIO, STRATEGIES
from .worlds import KINDS

SIZE_STEP = 8
SMALLEST_GLOBAL_SIZE = 48
"""Below it no token is left of a global frame."""


class ConfigError(ValueError):
    """A configuration file with everything that is wrong with it, one problem a line."""


def _number(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def _choice(default: str, *choices: str) -> Any:
    return field(default=default, metadata={"choices": choices})


@dataclass(frozen=True)
class Run:
    """How long, how large, how often saved. ``output``: the run's folder, from the configuration's own."""

    output: str
    steps: int = _number(100_000, 1, 10**9)
    seed: int = _number(0, 0, 2**31 - 1)
    batch: int = _number(1, 1, 4096)
    accumulation: int = _number(1, 1, 4096)
    precision: str = _choice("no", "no", "fp16", "bf16")
    gradient_checkpointing: bool = False
    compile: bool = False
    workers: int = _number(0, 0, 256)
    save_every: int = _number(1000, 1, 10**9)
    keep: int = _number(2, 1, 1000)
    log_every: int = _number(10, 1, 10**9)
    sample_every: int = _number(0, 0, 10**9)
    sample_steps: int = _number(20, 2, 1000)
    export_dtype: str = _choice("fp16", "fp32", "fp16", "bf16")


@dataclass(frozen=True)
class Network:
    """What the network is and what its weights start from (``weights``: a checkpoint; SD 1.5's U-Net for ``sd15``)."""

    start: str = _choice("nothing", "nothing", "sd15", "m3ddm")
    weights: str = ""
    block_out_channels: tuple[int, ...] = field(default=(320, 640, 1280, 1280), metadata={"low": 8, "high": 4096})
    layers_per_block: int = _number(2, 1, 8)
    cross_attention_dim: int = _number(320, 8, 4096)
    attention_heads: int = _number(8, 1, 64)
    norm_num_groups: int = _number(32, 1, 256)


@dataclass(frozen=True)
class Objective:
    """What is predicted, and what counts how much.

    ``weighting``: ``min_snr`` is min-SNR-5 (arXiv 2303.09556). ``hidden_weight``: how much more an error in the hidden
    area counts than one in the known. ``drop_context``, ``drop_global``: how often a condition is withheld.
    ``guide_noise``: the largest timestep to which frames given whole are noised (condition perturbation).
    """

    prediction: str = _choice("epsilon", "epsilon", "v_prediction")
    weighting: str = _choice("none", "none", "min_snr")
    hidden_weight: float = _number(1.0, 1.0, 100.0)
    masks: str = _choice("m3ddm", *STRATEGIES)
    ratio: tuple[float, ...] = field(default=RATIO, metadata={"low": 0.01, "high": 0.99, "length": 2})
    drop_context: float = _number(0.1, 0.0, 1.0)
    drop_global: float = _number(0.1, 0.0, 1.0)
    guide_noise: int = _number(0, 0, 999)


@dataclass(frozen=True)
class Optimizer:
    """AdamW and the average of the weights that is kept beside them (diffusers' EMA, warmed up with this power)."""

    lr: float = _number(1e-4, 0.0, 1.0)
    warmup: int = _number(500, 0, 10**9)
    schedule: str = _choice("constant", "constant", "cosine")
    beta1: float = _number(0.9, 0.0, 0.9999)
    beta2: float = _number(0.999, 0.0, 0.999999)
    weight_decay: float = _number(0.01, 0.0, 10.0)
    clip: float = _number(1.0, 0.0, 1e6)
    ema_decay: float = _number(0.9999, 0.0, 0.9999999)
    ema_power: float = _number(0.75, 0.01, 2.0)


@dataclass(frozen=True)
class Data:
    """Where clips come from and what they look like.

    ``folder``: of videos, for that source. ``size``: width and height in pixels. ``video_frames``: how much of a video
    the global frames are spread over. ``global_frames``: ``masked`` is the paper's (the whole picture under the clip's
    mask), ``cropped`` is what outpainting gives the network: the source alone, stretched. ``cache``: a folder for
    latents, ``cache_clips`` of them, which then come up again and again.
    """

    source: str = _choice("synthetic", "synthetic", "folder")
    folder: str = ""
    size: tuple[int, ...] = field(default=(256, 256), metadata={"low": 16, "high": 4096, "length": 2})
    frames: int = _number(16, 2, 64)
    max_stride: int = _number(MAX_STRIDE, 1, 120)
    video_frames: int = _number(480, 16, 100_000)
    fps: float = _number(24.0, 1.0, 240.0)
    global_frames: str = _choice("masked", "masked", "cropped")
    global_count: int = _number(16, 1, 64)
    global_size: int = _number(256, SMALLEST_GLOBAL_SIZE, 1024)
    cache: str = ""
    cache_clips: int = _number(0, 0, 10**9)


@dataclass(frozen=True)
class Synthetic:
    """The range of synthetic scenes; ``speed`` as a share of the view's width per frame, lowest and highest."""

    kinds: tuple[str, ...] = field(default=KINDS, metadata={"choices": KINDS})
    speed: tuple[float, ...] = field(default=(0.0, 0.03), metadata={"low": 0.0, "high": 1.0, "length": 2})
    travel: float = _number(1.5, 0.0, 20.0)
    zoom: float = _number(0.15, 0.0, 0.9)
    shake: float = _number(0.004, 0.0, 0.2)
    detail: tuple[float, ...] = field(default=(0.2, 1.0), metadata={"low": 0.0, "high": 1.0, "length": 2})
    sprites: int = _number(3, 0, 20)


@dataclass(frozen=True)
class Vae:
    """The autoencoder: a TAESD-format file (``taesd_encoder.``...) or a diffusers folder or file of SD 1.x's VAE."""

    path: str


@dataclass(frozen=True)
class Config:
    """A whole run. Paths are as in the file: relative to ``folder``, which is the file's own."""

    run: Run
    vae: Vae
    network: Network = Network()
    objective: Objective = Objective()
    optimizer: Optimizer = Optimizer()
    data: Data = Data()
    synthetic: Synthetic = Synthetic()
    folder: str = "."

    def path(self, name: str) -> Path:
        """Return a path of the file as seen from here."""
        return Path(self.folder) / os.path.expanduser(name)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return the sections as plain values, tuples as lists: what JSON gives back unchanged."""
        sections = {name: section for name, section in asdict(self).items() if name != "folder"}
        return {
            name: {key: list(value) if isinstance(value, tuple) else value for key, value in section.items()}
            for name, section in sections.items()
        }


def read_config(path: str | os.PathLike[str]) -> Config:
    """Read and check a configuration. Raises :class:`ConfigError` with all problems, ``OSError`` as the system does."""
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: got a file that is not TOML: {error}") from None
    return parse_config(content, folder=str(path.parent), name=str(path))


def parse_config(content: dict[str, Any], *, folder: str = ".", name: str = "configuration") -> Config:
    """Check the sections of a configuration and fill in what is left out. Raises :class:`ConfigError`."""
    problems: list[str] = []
    hints = get_type_hints(Config)
    kinds = {f.name: hints[f.name] for f in fields(Config) if f.name != "folder"}
    for section in content:
        if section not in kinds:
            problems.append(f"[{section}]: no such section{_meant(section, kinds)}")
    sections = {}
    for section, kind in kinds.items():
        given = content.get(section, {})
        if not isinstance(given, dict):
            problems.append(f"{section}: got {given!r}, expected a section [{section}]")
            continue
        sections[section] = _read_section(section, kind, given, problems)
    if all(sections.get(section) is not None for section in kinds):
        config = Config(**sections, folder=folder)
        problems += _contradictions(config)
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise ConfigError(f"{name}: got {len(problems)} problem{'s' * (len(problems) > 1)}, expected none\n{lines}")
    return config


def _read_section(section: str, kind: type, given: dict[str, Any], problems: list[str]) -> Any:
    """Return the section, or None where something is wrong with it; what is wrong is added to ``problems``."""
    known = {f.name: f for f in fields(kind)}
    hints = get_type_hints(kind)
    found = len(problems)
    for key in given:
        if key not in known:
            problems.append(f"{section}.{key}: no such key{_meant(key, known)}")
    values = {}
    for key, entry in known.items():
        if key in given:
            wrong = _wrong(given[key], hints[key], entry.metadata)
            if wrong:
                problems.append(f"{section}.{key}: got {given[key]!r}, expected {wrong}")
            values[key] = _convert(given[key], hints[key]) if not wrong else None
        elif entry.default is MISSING:
            problems.append(f"{section}.{key}: missing")
    return kind(**values) if len(problems) == found else None


def _wrong(value: Any, hint: Any, rules: Any) -> str:
    """Return what was expected, or nothing where the value is all right."""
    if get_origin(hint) is tuple:
        length, inner = rules.get("length"), get_args(hint)[0]
        expected = f"a list of {length if length else 'one or more'} values"
        if not isinstance(value, list) or not value or (length and len(value) != length):
            return expected
        return next((f"a list, each {wrong}" for item in value if (wrong := _wrong(item, inner, rules))), "")
    if hint is float:
        right = isinstance(value, (int, float)) and not isinstance(value, bool)
    else:
        right = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
    if "choices" in rules:
        return "" if right and value in rules["choices"] else f"one of {', '.join(map(repr, rules['choices']))}"
    name = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}[hint]
    if "low" in rules:
        low, high = rules["low"], rules["high"]
        return "" if right and low <= value <= high else f"{name} from {low:g} to {high:g}"
    return "" if right else name


def _convert(value: Any, hint: Any) -> Any:
    if get_origin(hint) is tuple:
        return tuple(_convert(item, get_args(hint)[0]) for item in value)
    return hint(value)


def _meant(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"


def _contradictions(config: Config) -> list[str]:
    """What is wrong between keys that are right each by itself."""
    problems = []
    network, data = config.network, config.data
    for key, divisor in (("attention_heads", network.attention_heads), ("norm_num_groups", network.norm_num_groups)):
        bad = [width for width in network.block_out_channels if width % divisor]
        if bad:
            problems.append(f"network.block_out_channels: got {bad}, expected multiples of {key} = {divisor}")
    for key, pair in (
        ("ratio", config.objective.ratio),
        *((k, getattr(config.synthetic, k)) for k in ("speed", "detail")),
    ):
        if pair[0] > pair[1]:
            problems.append(f"{key}: got {list(pair)}, expected the lower number first")
    for key, number in (
        ("data.size", data.size[0]),
        ("data.size", data.size[1]),
        ("data.global_size", data.global_size),
    ):
        if number % SIZE_STEP:
            problems.append(f"{key}: got {number}, expected a multiple of {SIZE_STEP}")
    if data.video_frames < data.frames:
        problems.append(f"data.video_frames: got {data.video_frames}, expected at least data.frames = {data.frames}")
    if bool(data.cache) != bool(data.cache_clips):
        problems.append("data.cache, data.cache_clips: got one without the other, expected both or neither")
    if data.source == "folder" and not config.path(data.folder).is_dir():
        problems.append(f"data.folder: got {data.folder!r}, expected a folder of videos")
    if network.start != "nothing" and not (network.weights and config.path(network.weights).exists()):
        problems.append(
            f"network.weights: got {network.weights!r}, expected the file that start = {network.start!r} needs"
        )
    if network.start == "nothing" and network.weights:
        problems.append("network.weights: got a file, expected none with start = 'nothing'")
    if not config.path(config.vae.path).exists():
        problems.append(f"vae.path: got {config.vae.path!r}, expected a file or folder that exists")
    return problems
