"""Training clips as latents: encoded once, kept on disk where the configuration says so."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .config import Config
from .samples import Clip, ClipSource

LATENT_SCALE = 8
FORMAT = 2
"""Of the cache; a new one where what is stored changes its meaning."""


@dataclass(frozen=True)
class LatentClip:
    """A training clip in model space, float32.

    ``latents`` and ``masked`` (f, 4, h, w): the whole frames, and with the hidden area black; ``mask`` (1, h, w);
    ``global_latents`` (g, 4, gh, gw); ``blank`` (4, h, w): a black frame; ``fps``: int64 ().
    """

    latents: Tensor
    masked: Tensor
    mask: Tensor
    global_latents: Tensor
    blank: Tensor
    fps: Tensor


Encode = Callable[[Tensor], Tensor]


def encode_clip(clip: Clip, encode: Encode, device: torch.device | str = "cpu") -> LatentClip:
    """Encode a clip with a VAE, as inference encodes a video: what the mask covers is black."""
    frames = clip.frames.to(device)
    mask = torch.from_numpy(clip.border.mask(frames.shape[2], frames.shape[1])).to(device)
    small = mask[None, ::LATENT_SCALE, ::LATENT_SCALE]
    return LatentClip(
        latents=encode(frames),
        masked=encode(frames * (1 - mask)[..., None]),
        mask=small,
        global_latents=encode(clip.global_frames.to(device)),
        blank=encode(torch.zeros_like(frames[:1]))[0],
        fps=torch.tensor(clip.fps, device=device),
    )


class LatentCache:
    """Encoded clips in a folder, one file each, named after everything that decides what is in them.

    Values are stored, and handed on, as float16: a clip is the same whether it was just made or read. A file that
    cannot be read is made again.
    """

    def __init__(self, config: Config):
        data = config.data
        self.clips = data.cache_clips
        self.folder = config.path(data.cache) / _key(config) if data.cache else None

    def number(self, number: int) -> int:
        """Return which of the clips stands for a number: with a cache, they come round again."""
        return number % self.clips if self.clips else number

    def read(self, number: int) -> LatentClip | None:
        """Return a clip, None where it is not there yet."""
        if self.folder is None or not self._path(number).is_file():
            return None
        try:
            with safe_open(self._path(number), framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return _clip(tensors)
        except (SafetensorError, TypeError):
            return None

    def write(self, number: int, clip: LatentClip) -> LatentClip:
        """Store a clip, where there is a folder, and return it as :meth:`read` would. A full disk is not an error."""
        if self.folder is None:
            return clip
        tensors = {name: _half(value).contiguous() for name, value in vars(clip).items()}
        path = self._path(number)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file({name: tensor.cpu() for name, tensor in tensors.items()}, partial)
            os.replace(partial, path)
        except (OSError, SafetensorError):
            partial.unlink(missing_ok=True)
        return _clip(tensors)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}.safetensors"


def _half(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def _clip(tensors: dict[str, Tensor]) -> LatentClip:
    return LatentClip(**{k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})


def _key(config: Config) -> str:
    """Hash what decides a clip's latents: the data, the masks, the seed and the VAE's file."""
    content = config.as_dict()
    data = {key: value for key, value in content["data"].items() if key not in ("cache", "cache_clips")}
    vae = config.path(config.vae.path)
    stamp = [str(vae.resolve()), vae.stat().st_size, vae.stat().st_mtime_ns]
    masks = [content["objective"][key] for key in ("masks", "ratio")]
    everything = [FORMAT, data, asdict(config.synthetic), masks, config.run.seed, stamp]
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:16]


class ClipLoader(torch.utils.data.Dataset):
    """A dataset by number: the cached clip where there is one, else the pixels for the trainer to encode."""

    def __init__(self, source: ClipSource, cache: LatentCache):
        self.source, self.cache = source, cache

    def __getitem__(self, number: int) -> tuple[int, Clip | LatentClip]:
        number = self.cache.number(number)
        return number, self.cache.read(number) or self.source[number]
