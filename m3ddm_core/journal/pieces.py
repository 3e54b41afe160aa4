"""Encoded shots in a journal: of a video that is written again, those that have not changed are copied."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import accumulate, count, pairwise
from pathlib import Path

import torch
from torch import Tensor

from .digest import digest
from .store import BULKY, Journal

PART_BYTES = 1 << 24
"""Of an entry, and of what is held in memory of a shot: it lies in as many as it needs."""
SHARE = 0.5
"""Of the journal's bound: what is left is for what takes longer to make."""
SHARE_OF_DISK = 0.125
"""Of what is free when the first is put: the file itself is to be written there too."""

Packet = tuple[bool, bytes]

_HEAD, _ENTRY = struct.Struct("<QQ"), struct.Struct("<?Q")


class PieceJournal:
    """A journal, for the encoded shots of one file. They take no more than a share of its bound: when that is used up,
    no more are put, so that those which are there stay."""

    def __init__(self, journal: Journal):
        self._journal, self._room = journal, None

    def take(self, key: str) -> Iterator[Packet]:
        """Yield the frames of a shot that are there, from its first on: whether each can be decoded alone, and its
        bytes."""
        done = 0
        for number in count():
            part = self._journal.take(digest((key, number)), BULKY)
            packets = [] if part is None else _unpack(part, done)
            if not packets:
                return
            self._used(part.numel())
            yield from packets
            done += len(packets)

    def put(self, key: str, length: int) -> Callable[[Packet], None]:
        """Make what keeps a shot of ``length`` frames and is called for each."""
        return _Keeper(self, key, length)

    def fits(self, size: int) -> bool:
        """Whether there is room for so many bytes more."""
        return size <= self._left()

    def put_part(self, key: str, number: int, first: int, packets: list[Packet]) -> None:
        """Keep some frames of a shot, from a ``first`` on."""
        part = _pack(first, packets)
        self._used(part.numel())
        self._journal.put(digest((key, number)), part, BULKY)

    def _left(self) -> float:
        if self._room is None:
            bound = self._journal.most_bytes
            shares = [SHARE * bound] if bound is not None else []
            with suppress(OSError):
                shares.append(SHARE_OF_DISK * shutil.disk_usage(_existing(self._journal.folder)).free)
            self._room = min(shares, default=0.0)
        return self._room

    def _used(self, size: int) -> None:
        self._room = self._left() - size


class _Keeper:
    """Keeps the frames of a shot in parts, as long as the whole of it promises to fit."""

    def __init__(self, journal: PieceJournal, key: str, length: int):
        self._journal, self._key, self._length, self._left = journal, key, length, length
        self._waiting: list[Packet] = []
        self._size, self._number, self._fits = 0, 0, True

    def __call__(self, packet: Packet) -> None:
        if not self._fits:
            return
        self._waiting.append(packet)
        self._size += len(packet[1])
        self._left -= 1
        if self._left and self._size < PART_BYTES:
            return
        expected = self._size + self._left * self._size // len(self._waiting)
        self._fits = self._journal.fits(expected)
        if self._fits:
            first = self._length - self._left - len(self._waiting)
            self._journal.put_part(self._key, self._number, first, self._waiting)
        self._waiting, self._size, self._number = [], 0, self._number + 1


def _pack(first: int, packets: list[Packet]) -> Tensor:
    """Frames in one tensor, (bytes,), uint8: the first one's number, how many, what each is and how long, all bytes."""
    heads = (_ENTRY.pack(is_key, len(data)) for is_key, data in packets)
    content = b"".join([_HEAD.pack(first, len(packets)), *heads, *(data for _, data in packets)])
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def _unpack(part: Tensor, expected: int) -> list[Packet]:
    """What was packed; nothing of what is no such thing, or does not begin with the frame that is expected."""
    content = part.numpy().tobytes() if part.dtype is torch.uint8 else b""
    with suppress(struct.error):
        first, length = _HEAD.unpack_from(content)
        place = _HEAD.size + length * _ENTRY.size
        heads = list(_ENTRY.iter_unpack(content[_HEAD.size : place]))
        ends = list(accumulate((size for _, size in heads), initial=place))
        if first == expected and len(heads) == length and ends[-1] == len(content):
            each = zip(heads, pairwise(ends), strict=True)
            return [(is_key, content[first:last]) for (is_key, _), (first, last) in each]
    return []


def _existing(folder: Path) -> Path:
    """The folder, or the one in which it will be made."""
    return next(each for each in (folder, *folder.absolute().parents) if each.exists())


def pieces_in(journal: Journal | None) -> PieceJournal | None:
    """The encoded shots of one file in a journal, if there is one."""
    return None if journal is None else PieceJournal(journal)
