"""Hashes of frames, by which it is known that what was made of them once need not be made again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def digest_picture(picture: Tensor) -> str:
    """Hash a picture (h, w, c) in memory: its dtype, its shape and its bytes."""
    whole = picture.detach().cpu().contiguous()
    sha = hashlib.sha256(f"{whole.dtype} {tuple(whole.shape)}:".encode())
    sha.update(whole.reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()


def derived(digests: Iterable[str], how: str) -> tuple[str, ...]:
    """The digests of frames of which each is made of another's alone, all in one way."""
    return tuple(hashlib.sha256(f"{how}: {own}".encode()).hexdigest() for own in digests)


def derived_beside(digests: Sequence[str], how: str) -> tuple[str, ...]:
    """The same for frames that are made of another's and both its neighbours."""
    padded = ["", *digests, ""]
    return derived(map(" ".join, zip(padded, padded[1:], padded[2:], strict=False)), how)
