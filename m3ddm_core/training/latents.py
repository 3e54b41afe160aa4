"""Training clips as latents: encoded once, kept on disk where the configuration says so."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..canvas.placement import LATENT_SCALE
from ..vae import Encode
from .config import Config, Data
from .samples import Clip, ClipSource, Take

FORMAT = 3
"""Of the cache; a new one where what is stored changes its meaning."""


@dataclass(frozen=True, eq=False)
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

    def backwards(self) -> LatentClip:
        """Return the clip with its last frame first."""
        return replace(self, latents=self.latents.flip(0), masked=self.masked.flip(0))

    def to(self, device: torch.device | str) -> LatentClip:
        """Return the clip on a device."""
        return LatentClip(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})


def encode_clips(
    clips: Sequence[Clip], encode: Encode, data: Data, device: torch.device | str = "cpu"
) -> list[LatentClip]:
    """Encode clips of one size with a VAE, all at once, as inference encodes a video: what is hidden is black.

    Where there are no global frames, one of zeros stands for them: what the network gets where they are withheld.
    """
    frames = torch.stack([clip.frames for clip in clips]).to(device).float() / 255
    height, width = frames.shape[2:4]
    masks = torch.stack([torch.from_numpy(clip.border.mask(width, height)) for clip in clips]).to(device)
    shown = rearrange(1 - masks, "b h w -> b 1 h w 1")
    whole, masked = (_encode_videos(video, encode) for video in (frames, frames * shown))
    if data.global_count:
        known = torch.stack([_show_global(clip, mask, data) for clip, mask in zip(clips, masks, strict=True)])
        known = _encode_videos(known, encode)
    else:
        side = data.global_size // LATENT_SCALE
        known = whole.new_zeros(len(clips), 1, whole.shape[2], side, side)
    blank = encode(torch.zeros_like(frames[0, :1]))[0]
    small = masks[:, None, ::LATENT_SCALE, ::LATENT_SCALE]
    fps = torch.tensor([clip.fps for clip in clips], device=device)
    return [LatentClip(whole[i], masked[i], small[i], known[i], blank, fps[i]) for i in range(len(clips))]


def _encode_videos(videos: Tensor, encode: Encode) -> Tensor:
    latents = encode(rearrange(videos, "b f h w c -> (b f) h w c"))
    return rearrange(latents, "(b f) c h w -> b f c h w", b=len(videos))


def _show_global(clip: Clip, mask: Tensor, data: Data) -> Tensor:
    """What the global frames (g, s, s, 3) may show of whole pictures under the clip's mask, stretched to a square."""
    pictures = clip.global_frames.to(mask.device).float() / 255
    x, y, wide, high = clip.border.window(pictures.shape[2], pictures.shape[1])
    if data.global_frames == "cropped" and wide and high:
        pictures = pictures[:, y : y + high, x : x + wide]
    else:
        pictures = pictures * (1 - mask)[..., None]
    planes = rearrange(pictures, "g h w c -> g c h w")
    planes = F.interpolate(planes, (data.global_size, data.global_size), mode="bilinear", antialias=True)
    return rearrange(planes, "g c h w -> g h w c")


class LatentCache:
    """Encoded clips in a folder, one file each, named after everything that decides what is in them.

    Values are stored, and handed on, as float16: a clip is the same whether it was just made or read. A file that
    cannot be read is made again.
    """

    def __init__(self, config: Config, source: ClipSource):
        data = config.data
        self.clips = data.cache_clips
        self.backwards = data.cache_backwards
        self.folder = config.path(data.cache) / _key(config, source) if data.cache else None

    def number(self, number: int) -> int:
        """Return which of the clips stands for a number: with a cache, they come round again."""
        return number % self.clips if self.clips else number

    def played(self, clip: LatentClip, number: int) -> LatentClip:
        """Return a clip as it comes up under a number: the second, fourth, ... time backwards, if that is wanted."""
        turn = number // self.clips if self.clips else 0
        return clip.backwards() if self.backwards and turn % 2 else clip

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
        """Store a clip, where there is a folder, and return it as `read` would. A full disk is not an error."""
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


def _key(config: Config, source: ClipSource) -> str:
    """Hash what decides a clip's latents: the data, its sources, the masks, the seed and the VAE's file."""
    content = config.as_dict()
    only_order = ("cache", "cache_clips", "cache_backwards", "rounds", "pool")
    data = {key: value for key, value in content["data"].items() if key not in only_order}
    vae = config.path(config.vae.path)
    stamp = [str(vae.resolve()), vae.stat().st_size, vae.stat().st_mtime_ns]
    masks = [content["objective"][key] for key in ("masks", "ratio")]
    everything = [FORMAT, data, source.stamp, asdict(config.synthetic), masks, config.run.seed, stamp]
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:16]


class ClipLoader(torch.utils.data.Dataset):
    """A dataset by number: the cached clip where there is one, else what the trainer is to shoot and encode."""

    def __init__(self, source: ClipSource, cache: LatentCache):
        self.source, self.cache = source, cache

    def __getitem__(self, number: int) -> tuple[int, Take | LatentClip]:
        number = self.cache.number(number)
        return number, self.cache.read(number) or self.source[number]
