"""Pictures of everything around a camera: read from several formats, kept in one.

All become equirectangular, (h, 2 h, 3), uint8: longitude from left to right, the horizon in the middle, straight ahead
in the middle column. Brightness that no screen shows is rolled off as film does.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from .pictures import PICTURES, UnusableMaterial, read_photograph

PANORAMAS = (".exr", ".hdr", ".ktx", *PICTURES)
MIDDLE_GREY = 0.18
"""What a scene's usual brightness becomes, in linear light."""
BRIGHTEST = 65504.0

KTX_HEADER = struct.Struct("<12s13I")
KTX_MAGIC = b"\xabKTX 11\xbb\r\n\x1a\n"
R11F_G11F_B10F = 0x8C3A
"""OpenGL's number for three unsigned floats in 32 bits, of 11, 11 and 10 (five of each are the exponent)."""


def read_panorama(path: Path, height: int) -> np.ndarray:
    """Read a panorama, shrunk to at most ``height``: (h, 2 h, 3), uint8.

    Raises `UnusableMaterial` for a picture that is not twice as wide as high, and for a KTX file without a cube map.
    """
    suffix = path.suffix.lower()
    if suffix == ".ktx":
        picture = _from_cube(_developed(_read_cube(path)))
    elif suffix in (".exr", ".hdr"):
        picture = _developed(_read_float(path))
    else:
        picture = torch.from_numpy(read_photograph(path, height) / np.float32(255))
    high, wide = picture.shape[:2]
    if wide != 2 * high:
        raise UnusableMaterial(f"got {wide}x{high} pixels, expected a panorama twice as wide as high")
    if high > height:
        planes = F.interpolate(rearrange(picture, "h w c -> 1 c h w"), (height, 2 * height), mode="area")
        picture = rearrange(planes, "1 c h w -> h w c")
    return (picture * 255).round().to(torch.uint8).numpy()


def _developed(light: Tensor) -> Tensor:
    """Turn linear light (..., 3) into a picture in 0..1: exposed by its median, rolled off, in sRGB's curve."""
    # The sun may be brighter than a half float tells.
    light = light.nan_to_num(BRIGHTEST, BRIGHTEST).clamp(0, BRIGHTEST)
    usual = light.mean(-1).flatten().median().clamp_min(1e-6)
    exposed = light * (MIDDLE_GREY / usual)
    # The extended curve of Reinhard et al. (2002): what is four times a usual white is white.
    white = 4.0
    shown = (exposed * (1 + exposed / white**2) / (1 + exposed)).clamp(0, 1)
    return torch.where(shown <= 0.0031308, 12.92 * shown, 1.055 * shown.clamp_min(1e-8) ** (1 / 2.4) - 0.055)


def _read_float(path: Path) -> Tensor:
    import av

    try:
        with av.open(str(path)) as container:
            return torch.from_numpy(next(container.decode(video=0)).to_ndarray(format="gbrpf32le").copy())
    except (av.FFmpegError, StopIteration, OSError) as error:
        raise UnusableMaterial(f"got a file that cannot be read ({type(error).__name__}), expected a picture") from None


def _read_cube(path: Path) -> Tensor:
    """Read a cube map of KTX 1, its largest size: (6, s, s, 3) linear light, faces +x -x +y -y +z -z."""
    content = path.read_bytes()
    if len(content) < KTX_HEADER.size + 4:
        raise UnusableMaterial("got a file without a header, expected a cube map")
    magic, _, kind, _, _, _, _, width, height, _, _, faces, _, skipped = KTX_HEADER.unpack_from(content)
    start, count = KTX_HEADER.size + skipped + 4, 6 * width * height
    if magic != KTX_MAGIC or kind != R11F_G11F_B10F or faces != 6 or len(content) < start + 4 * count:
        raise UnusableMaterial(f"got a KTX file of type {kind:#x} with {faces} faces, expected R11F_G11F_B10F and six")
    packed = np.frombuffer(content, "<u4", count, start)
    fields = ((0, 2047, 6), (11, 2047, 6), (22, 1023, 5))
    parts = [_small_float(packed >> shift & mask, mantissa) for shift, mask, mantissa in fields]
    return rearrange(torch.from_numpy(np.stack(parts, -1)), "(f h w) c -> f h w c", f=6, h=height)


def _small_float(bits: np.ndarray, mantissa: int) -> np.ndarray:
    """Decode unsigned floats of five bits of exponent, biased by 15, above ``mantissa`` bits."""
    exponent, fraction = (bits >> mantissa).astype(np.int32), (bits & ((1 << mantissa) - 1)) / (1 << mantissa)
    return np.where(exponent, np.ldexp(1 + fraction, exponent - 15), np.ldexp(fraction, -14)).astype(np.float32)


def _from_cube(faces: Tensor) -> Tensor:
    """Resample a cube map (6, s, s, 3), as OpenGL lays its faces, to (2 s, 4 s, 3)."""
    side = faces.shape[1]
    high = 2 * side
    longitude = (torch.arange(2 * high) + 0.5) / high * torch.pi - torch.pi
    latitude = ((torch.arange(high) + 0.5) / high - 0.5) * torch.pi
    x, z = (torch.cos(latitude)[:, None] * part for part in (torch.sin(longitude), torch.cos(longitude)))
    y = -torch.sin(latitude)[:, None].expand_as(x)
    result = torch.zeros(high, 2 * high, 3)
    # Which way each face looks, and where on it right and down are.
    for face, (ahead, right, down) in enumerate(
        ((x, -z, -y), (-x, z, -y), (y, x, z), (-y, x, -z), (z, x, -y), (-z, -x, -y))
    ):
        ours = (ahead >= torch.stack([x.abs(), y.abs(), z.abs()]).amax(0) - 1e-6) & (ahead > 0)
        grid = torch.stack([right, down], -1) / ahead.clamp_min(1e-6)[..., None]
        picture = rearrange(faces[face], "h w c -> 1 c h w")
        seen = F.grid_sample(picture, grid[None], padding_mode="border", align_corners=False)
        result[ours] = rearrange(seen, "1 c h w -> h w c")[ours]
    return result
