"""What is measured against one another: fills that know one frame, and the model at any settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..canvas.build import make_canvas
from ..canvas.placement import FILL_NAMES, Placement
from ..checkpoint import build_unet, read_checkpoint
from ..composite.compositor import BLENDS, COLOUR_MATCHES, composite
from ..outpaint.encode import add_guide_frames, encode_context, encode_global_frames
from ..outpaint.frame_numbers import parse_frame_numbers
from ..outpaint.plan import levels
from ..outpaint.stages import Progress, outpaint_stage
from ..outpaint.state import OutpaintState
from ..sampling.clip import Callback, ClipConditions, Network, SampleClips, Sampler, guided_sampler
from ..sampling.guidance import Guidance
from ..sampling.prediction import noise_network
from ..sampling.settings import CUSTOM, Effort, with_preset
from ..sampling.solvers import make_sampler
from ..vae import VAE, load_vae

FILLS = ("edge", *FILL_NAMES)
MODEL = "m3ddm"
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""Of the network's arithmetic; weights stay float32."""

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

    def __call__(self, known: np.ndarray, placement: Placement, fps: float, report: Report, whole: Whole) -> np.ndarray:
        """Known frames (n, h, w, 3), uint8, to whole ones (n, size, size, 3), uint8."""


@dataclass(frozen=True)
class Fill:
    """The border filled frame by frame: with the pixels at the edge, smoothly, or with OpenCV's TELEA."""

    label: str
    slow = False

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
        canvas, _ = make_canvas(_as_floats(known), dataclasses.replace(placement, fill=self.label))
        return _as_pixels(canvas)


@dataclass(frozen=True)
class ModelSettings(Effort):
    """How the model is run; the release's settings by default.

    ``strides``: None takes those of the clip's length. ``guides``: frames that are given whole, as in "0 -1".
    ``feather``, ``colour_match`` and ``blend`` are those of `composite`; by default the known area is put back hard.
    """

    checkpoint: str = ""
    vae: str = ""
    context_scale: float = 2.0
    global_scale: float = 4.0
    denoise: float = 1.0
    guide_noise: int = 0
    strides: tuple[int, ...] | None = None
    seed: int = 0
    global_frames: int = 16
    guides: str = ""
    fill: str = "telea"
    precision: str = "fp32"
    clips_per_batch: int = 1
    feather: int = 0
    colour_match: str = "none"
    blend: str = "feather"


@dataclass(frozen=True)
class Model:
    """Any sampler of clips around a VAE: what the graph of the whole video does.

    ``weights`` stands for the files in the identity.
    """

    label: str
    settings: ModelSettings
    weights: str
    load: Callable[[], tuple[SampleClips, VAE]]
    slow = True

    @property
    def description(self) -> str:
        """The files and all settings."""
        settings = dataclasses.asdict(self.settings)
        files = [f"{name} {Path(settings.pop(name)).name}" for name in ("checkpoint", "vae")]
        return ", ".join([*files, *(f"{name} {value}" for name, value in settings.items() if value is not None)])

    @property
    def identity(self) -> str:
        """Everything but how many clips share a batch, which changes nothing."""
        settings = dataclasses.asdict(dataclasses.replace(self.settings, checkpoint="", vae="", clips_per_batch=1))
        return f"model {self.weights} {sorted(settings.items())}"

    @torch.no_grad()
    def __call__(self, known: np.ndarray, placement: Placement, fps: float, report: Report, whole: Whole) -> np.ndarray:
        sample, vae = self.load()
        settings, frames = self.settings, _as_floats(known)
        placement = dataclasses.replace(placement, fill=settings.fill)
        state = _encoded(known.tobytes(), known.shape, placement, fps, settings.global_frames, vae)
        if settings.guides:
            guides = _as_floats(whole(parse_frame_numbers(settings.guides, len(frames))))
            state = add_guide_frames(state, guides, settings.guides, vae.encode)
        strides = levels(len(frames)) if settings.strides is None else settings.strides
        for number, stride in enumerate(strides):

            def on_progress(progress: Progress, number: int = number) -> None:
                report((number + progress.done / progress.total) / len(strides))

            state = outpaint_stage(
                state,
                stride,
                sample,
                seed=settings.seed,
                clips_per_batch=settings.clips_per_batch,
                guide_noise=settings.guide_noise,
                on_progress=on_progress,
            )
        return _as_pixels(
            composite(
                frames,
                vae.decode(state.latents),
                placement,
                feather=settings.feather,
                colour_match=settings.colour_match,
                blend=settings.blend,
            )
        )


def parse_method(text: str, defaults: Mapping[str, str], device: torch.device | str = "cpu") -> Method:
    """Read a method: "edge", "smooth", "telea", "m3ddm" or "m3ddm:steps=10,strides=15-5-1,name=few steps".

    After the colon stand settings of :class:`ModelSettings`; ``preset``, which sets several of them at once where they
    are not given themselves; and ``name``, which is the text itself otherwise. ``defaults`` holds settings for those
    not given. Raises ValueError for what is none of them.
    """
    kind, _, rest = text.partition(":")
    if kind in FILLS and not rest:
        return Fill(kind)
    if kind != MODEL:
        raise ValueError(f"got the method {text!r}, expected {', '.join(FILLS)}, {MODEL}, or {MODEL}:setting=value,...")
    given = dict(defaults)
    for part in filter(None, (part.strip() for part in rest.split(","))):
        name, equals, value = part.partition("=")
        if not equals or (name not in ("name", "preset") and name not in _SETTINGS):
            known = ", ".join(("preset", *_SETTINGS))
            raise ValueError(f"got {part!r} in the method {text!r}, expected name=... or one of {known}")
        given[name] = value
    label = given.pop("name", text)
    settings = with_preset(ModelSettings(), given.pop("preset", CUSTOM))
    settings = dataclasses.replace(settings, **{name: _setting(name, value) for name, value in given.items()})
    for name in ("checkpoint", "vae"):
        path = Path(getattr(settings, name))
        if not getattr(settings, name) or not path.exists():
            found = str(path) if getattr(settings, name) else "none"
            raise ValueError(f"got the {name} {found} for the method {text!r}, expected a file: pass --{name} FILE")
    for name, allowed in (
        ("fill", FILL_NAMES),
        ("precision", tuple(PRECISIONS)),
        ("colour_match", COLOUR_MATCHES),
        ("blend", BLENDS),
    ):
        if getattr(settings, name) not in allowed:
            raise ValueError(f"got the {name} {getattr(settings, name)!r}, expected one of {', '.join(allowed)}")
    guidance_and_sampler(settings)  # Raises here, before anything is measured.
    weights = f"{file_identity(settings.checkpoint)} {file_identity(settings.vae)}"

    def load() -> tuple[SampleClips, VAE]:
        return load_sampler(settings, device), _vae(settings.vae, str(device))

    return Model(label, settings, weights, load)


def guidance_and_sampler(settings: ModelSettings) -> tuple[Guidance, Sampler]:
    """Return what settings say of sampling a clip. Raises ValueError for what they cannot say."""
    guidance = settings.guidance(settings.context_scale, settings.global_scale)
    return guidance, make_sampler(settings.sampler, settings.scheduler, steps=settings.steps, denoise=settings.denoise)


def load_sampler(settings: ModelSettings, device: torch.device | str) -> SampleClips:
    """A sampler around a checkpoint's network, which stays loaded for the next settings."""
    precision = PRECISIONS[settings.precision]
    sample = guided_sampler(_network(settings.checkpoint, str(device)), *guidance_and_sampler(settings))

    def sample_on_device(conditions: ClipConditions, start: Tensor, noise: Tensor, callback: Callback) -> Tensor:
        moved = dataclasses.replace(
            conditions,
            context=conditions.context.to(device),
            no_context=conditions.no_context.to(device),
            global_latents=conditions.global_latents.to(device),
        )
        with torch.autocast(torch.device(device).type, precision, enabled=precision != torch.float32):
            return sample(moved, start.to(device), noise.to(device), callback).to(start)

    return sample_on_device


@lru_cache(maxsize=1)
def _network(path: str, device: str) -> Network:
    checkpoint = read_checkpoint(path)
    network = build_unet(checkpoint, dtype=torch.float32, device=device).requires_grad_(False)
    return noise_network(network, checkpoint.prediction_type)


@lru_cache(maxsize=1)
def _vae(path: str, device: str) -> VAE:
    return load_vae(path, device)


@lru_cache(maxsize=1)
def _encoded(
    pixels: bytes, shape: tuple[int, ...], placement: Placement, fps: float, global_frames: int, vae: VAE
) -> OutpaintState:
    """The known frames as the network is shown them: once for methods in a row that see them alike."""
    frames = _as_floats(np.frombuffer(pixels, np.uint8).reshape(shape))
    canvas, mask = make_canvas(frames, placement)
    known = encode_global_frames(frames, vae.encode, global_frames)
    return encode_context(canvas, mask, known, vae.encode, fps, placement)


def file_identity(path: str) -> str:
    """Name, size and date of a file, or of a folder's newest: reading gigabytes to tell them apart takes too long."""
    files = [file for file in Path(path).rglob("*") if file.is_file()] if Path(path).is_dir() else [Path(path)]
    stats = [file.stat() for file in files]
    return f"{Path(path).name} {sum(s.st_size for s in stats)} {max(s.st_mtime_ns for s in stats)}"


_READ: dict[str, Callable[[str], object]] = {
    "int": int,
    "float": float,
    "str": str,
    "tuple[int, ...] | None": lambda text: tuple(int(stride) for stride in text.split("-")) or None,
}
_SETTINGS = {field.name: _READ[str(field.type)] for field in dataclasses.fields(ModelSettings)}


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
