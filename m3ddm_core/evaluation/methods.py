"""What is measured against one another: fills that know one frame, and the model at any settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..canvas.build import make_canvas
from ..canvas.fill import FILL_METHODS
from ..canvas.placement import Placement
from ..checkpoint import DTYPES, read_checkpoint
from ..composite.blend import BLENDS
from ..composite.colour_match import COLOUR_MATCHES
from ..models import Models, load_models, load_network
from ..outpaint.frame_numbers import parse_frame_numbers
from ..pipeline import Guides, outpaint_frames
from ..sampling.advice import Advice, read_advice
from ..sampling.clip import Network
from ..sampling.settings import CHECKPOINT, CUSTOM, SamplingSettings, preset_settings
from ..sampling.solvers import make_sampler
from ..seen.look import REVISION as SEEN_REVISION
from ..seen.recipe import USES
from ..vae import VAE, load_vae
from .seen import SeenOver, looked_around

FILLS = ("edge", *FILL_METHODS)
SEEN = "seen"
MODEL = "m3ddm"
ROUND_TRIP = "vae"

Report = Callable[[float], None]
"""Called with the share of a clip that is done, 0..1."""

Whole = Callable[[Sequence[int]], np.ndarray]
"""Gives frames by number as they truly are, (m, size, size, 3), uint8: the guide frames that a user would give."""


class Method(Protocol):
    """``label`` names it in tables; ``identity`` says, as text, what would make it give another result."""

    label: str
    identity: str
    description: str
    """For people."""
    slow: bool
    """Whether its results are worth keeping as files."""
    looks_around: bool
    """Whether it uses what other frames have filmed of the border."""

    def __call__(self, known: np.ndarray, placement: Placement, fps: float, report: Report, whole: Whole) -> np.ndarray:
        """Known frames (n, h, w, 3), uint8, to finished frames (n, size, size, 3), uint8."""


@dataclass(frozen=True)
class Fill:
    """The border filled frame by frame: with the pixels at the edge, smoothly, or with OpenCV's TELEA."""

    label: str
    slow = False
    looks_around = False

    @property
    def identity(self) -> str:
        """A fill has no settings."""
        return f"fill {self.label}"

    @property
    def description(self) -> str:
        """What it does."""
        return {"edge": "the pixels at the edge, repeated", "smooth": "a smooth fill"}.get(self.label, "OpenCV's TELEA")

    def __call__(self, known: np.ndarray, placement: Placement, fps: float, report: Report, whole: Whole) -> np.ndarray:
        if self.label == "edge":
            left, top, right, bottom = placement.border
            return np.pad(known, ((0, 0), (top, bottom), (left, right), (0, 0)), mode="edge")
        canvas, _ = make_canvas(_as_floats(known), placement, fill=self.label)
        return _as_pixels(canvas)


@dataclass(frozen=True)
class ModelSettings:
    """How the model is run; as the published code does it by default.

    ``strides``: None takes those of the clip's length. ``guides``: frames that are given whole, as in "0 -1".
    ``precision``: of the network. ``feather``, ``colour_match`` and ``blend`` are those of `composite`; by default the
    known area is put back hard. ``seen``: what the border's pixels that other frames have filmed are used for, one of
    `USES`.
    """

    checkpoint: str = ""
    vae: str = ""
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    strides: tuple[int, ...] | None = None
    seed: int = 0
    global_frames: int = 16
    guides: str = ""
    fill: str = "telea"
    precision: str = "fp32"
    feather: int = 0
    colour_match: str = "none"
    blend: str = "feather"
    seen: str = "off"

    def flat(self) -> dict[str, Any]:
        """All settings by the names they are written with."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "sampling"}
        return own | self.sampling.flat()


@dataclass(frozen=True)
class Model:
    """The pipeline, with any models.

    ``weights`` stands for the files in the identity.
    """

    label: str
    settings: ModelSettings
    weights: str
    load: Callable[[], Models]
    slow = True

    @property
    def description(self) -> str:
        """The files and all settings."""
        settings = self.settings.flat()
        files = [f"{name} {Path(settings.pop(name)).name}" for name in ("checkpoint", "vae")]
        return ", ".join([*files, *(f"{name} {value}" for name, value in settings.items() if value is not None)])

    @property
    def looks_around(self) -> bool:
        """Where the settings say so."""
        return self.settings.seen != "off"

    @property
    def identity(self) -> str:
        """Everything but how many clips share a batch, which changes nothing."""
        settings = self.settings.flat() | {"checkpoint": "", "vae": "", "clips_per_batch": 1}
        seen = settings.pop("seen")
        # What was measured before there was such a setting need not be measured again.
        looking = f" seen {SEEN_REVISION} {seen}" if self.looks_around else ""
        return f"model {self.weights} {sorted(settings.items())}{looking}"

    def __call__(self, known: np.ndarray, placement: Placement, fps: float, report: Report, whole: Whole) -> np.ndarray:
        settings, frames = self.settings, _as_floats(known)
        guides = None
        if settings.guides:
            numbers = parse_frame_numbers(settings.guides, len(frames))
            guides = Guides(_as_floats(whole(numbers)), settings.guides)
        return _as_pixels(
            outpaint_frames(
                frames,
                self.load(),
                placement,
                fps,
                fill=settings.fill,
                settings=settings.sampling,
                seed=settings.seed,
                guides=guides,
                global_frames=settings.global_frames,
                strides=settings.strides,
                blending={name: getattr(settings, name) for name in ("feather", "colour_match", "blend")},
                seen=looked_around(known, placement) if self.looks_around else None,
                seen_use=settings.seen,
                on_progress=lambda progress: report(progress.done / progress.total),
            )
        )


@dataclass(frozen=True)
class RoundTrip:
    """The truth itself, through the autoencoder and back: what no network that works on its latents can surpass."""

    label: str
    vae: str
    device: torch.device | str = "cpu"
    slow = False
    looks_around = False

    @property
    def description(self) -> str:
        """The file."""
        return f"the truth through {Path(self.vae).name} and back"

    @property
    def identity(self) -> str:
        """The file's own."""
        return f"round trip {file_identity(self.vae)}"

    def __call__(self, known: np.ndarray, placement: Placement, fps: float, report: Report, whole: Whole) -> np.ndarray:
        vae = _vae(self.vae, str(self.device))
        return _as_pixels(vae.decode(vae.encode(_as_floats(whole(range(len(known)))))))


def parse_method(text: str, defaults: Mapping[str, str], device: torch.device | str = "cpu") -> Method:
    """Read a method: "edge", "smooth", "telea", "seen", "vae", "m3ddm" or "m3ddm:steps=10,strides=15-5-1,name=quick".

    After the colon stand settings of `ModelSettings` (of them ``vae`` alone for a "vae"; for a "seen" its ``fill``, one
    of `FILLS`); ``preset``, which sets several of them at once where they are not given themselves; and ``name``, which
    is the text itself otherwise. ``defaults`` holds settings for those not given. Raises ValueError for any other text.
    """
    kind, _, rest = text.partition(":")
    if kind in FILLS and not rest:
        return Fill(kind)
    allowed = {MODEL: ("preset", *_SETTINGS), ROUND_TRIP: ("vae",), SEEN: ("fill",)}.get(kind)
    if allowed is None:
        known = (*FILLS, SEEN, ROUND_TRIP, MODEL)
        raise ValueError(f"got the method {text!r}, expected {', '.join(known)}, or {MODEL}:setting=value,...")
    given = dict(defaults)
    for part in filter(None, (part.strip() for part in rest.split(","))):
        name, equals, value = part.partition("=")
        if not equals or name not in ("name", *allowed):
            raise ValueError(f"got {part!r} in the method {text!r}, expected name=... or one of {', '.join(allowed)}")
        given[name] = value
    label = given.pop("name", text)
    if kind == SEEN:
        return SeenOver(label, _one_of("fill", given.get("fill", "smooth"), FILLS))
    if kind == ROUND_TRIP:
        return RoundTrip(label, _existing("vae", given.get("vae", ""), text), device)
    preset = given.pop("preset", CUSTOM)
    values = {name: _setting(name, value) for name, value in given.items()}
    for name in ("checkpoint", "vae"):
        _existing(name, values.get(name, ""), text)
    sampling = {name: values.pop(name) for name in list(values) if name in _SAMPLING}
    settings = ModelSettings(sampling=_sampling(preset, sampling, values["checkpoint"]), **values)
    for name, allowed in (
        ("fill", tuple(FILL_METHODS)),
        ("precision", tuple(DTYPES)),
        ("colour_match", tuple(COLOUR_MATCHES)),
        ("blend", tuple(BLENDS)),
        ("seen", USES),
    ):
        _one_of(name, getattr(settings, name), allowed)
    make_sampler(**{name: getattr(settings.sampling, name) for name in ("sampler", "scheduler", "steps", "denoise")})
    weights = f"{file_identity(settings.checkpoint)} {file_identity(settings.vae)}"
    return Model(label, settings, weights, lambda: _models(settings, device))


def _sampling(preset: str, values: Mapping[str, Any], checkpoint: str) -> SamplingSettings:
    """The settings in full: a method's identity has every number that a result depends on."""
    settings = preset_settings(preset, values)
    advice = read_advice(read_checkpoint(checkpoint).metadata) if preset == CHECKPOINT else Advice()
    return settings.beside(advice.sampling)


def _one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    """Return a value as it is. Raises ValueError where it is none of those allowed."""
    if value not in allowed:
        raise ValueError(f"got the {name} {value!r}, expected one of {', '.join(allowed)}")
    return value


def _existing(name: str, path: str, text: str) -> str:
    """Return a path as it is. Raises ValueError where nothing is there."""
    if not path or not Path(path).exists():
        found = path or "none"
        raise ValueError(f"got the {name} {found} for the method {text!r}, expected a file: pass --{name} FILE")
    return path


def _models(settings: ModelSettings, device: torch.device | str) -> Models:
    """The two networks, which stay loaded for the next settings."""
    network = _network(settings.checkpoint, str(device), DTYPES[settings.precision])
    return load_models(network, _vae(settings.vae, str(device)))


@lru_cache(maxsize=1)
def _network(path: str, device: str, dtype: torch.dtype) -> Network:
    return load_network(path, device, dtype)


@lru_cache(maxsize=1)
def _vae(path: str, device: str) -> VAE:
    return load_vae(path, device)


def file_identity(path: str) -> str:
    """Name, size and date of a file, or of a folder's newest: reading gigabytes to tell them apart takes too long."""
    files = [file for file in Path(path).rglob("*") if file.is_file()] if Path(path).is_dir() else [Path(path)]
    stats = [file.stat() for file in files]
    return f"{Path(path).name} {sum(s.st_size for s in stats)} {max(s.st_mtime_ns for s in stats)}"


def _strides(text: str) -> tuple[int, ...] | None:
    return tuple(int(stride) for stride in text.split("-")) or None


_SAMPLING = SamplingSettings().flat()
_SETTINGS: dict[str, Callable[[str], object]] = {
    name: _strides if name == "strides" else type(value) for name, value in ModelSettings().flat().items()
}
"""What reads each setting: the type of its default, but for strides, which have none."""


def _setting(name: str, text: str) -> object:
    try:
        return _SETTINGS[name](text)
    except ValueError:
        raise ValueError(
            f"got {name}={text}, expected {'strides such as 15-5-1' if name == 'strides' else 'a number'}"
        ) from None


def _as_floats(frames: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(frames)).float() / 255


def _as_pixels(frames: Tensor) -> np.ndarray:
    return (frames * 255).round().clamp(0, 255).to(torch.uint8).numpy()
