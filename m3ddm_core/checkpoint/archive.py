"""Zip archives from strangers: members that are stored are mapped, packed ones are unpacked, within bounds."""

from __future__ import annotations

import mmap
import struct
import zipfile
import zlib
from pathlib import Path

from .recognise import shown

MOST_DIRECTORY = 4 << 20
"""Bytes of an archive's directory: that of the published network takes 0.15 MB."""
MOST_UNPACKED = 4
"""Times the file's size. Weights hardly pack: those of a float32 that were float16 once come to two and a half."""
SPARE = 1 << 20
"""Bytes beyond that, for small files."""

_ENCRYPTED = 1
_LOCAL_HEADER = 30
_END, _END_SIZE, _LONGEST_COMMENT = b"PK\x05\x06", 22, 1 << 16
_END64, _END64_SIZE, _LOCATOR_SIZE = b"PK\x06\x06", 56, 20
_IN_END64 = 0xFFFFFFFF


class DamagedArchive(ValueError):
    """What is wrong with an archive; the message is whole but for its subject, "it"."""


class Archive:
    """The members of a zip file. Nothing is read but the directory, whose size is looked at before.

    Raises `DamagedArchive` for what is no archive or one that would unpack to many times its size.
    """

    def __init__(self, path: Path):
        with path.open("rb") as file:
            # Private: what is written to a tensor never reaches the file.
            self.content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        if _directory_size(self.content) > MOST_DIRECTORY:
            raise DamagedArchive(f"has a directory of more than {MOST_DIRECTORY:,} bytes")
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        # Damaged directories also surface as names that do not decode or as versions unheard of.
        except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, IndexError):
            raise DamagedArchive("is no whole archive") from None
        self.members = {member.filename: member for member in members}
        if len(self.members) < len(members):
            raise DamagedArchive("has members of the same name")
        unpacked, size = sum(member.file_size for member in members), len(self.content)
        if unpacked > MOST_UNPACKED * size + SPARE or sum(member.compress_size for member in members) > size:
            raise DamagedArchive(f"would unpack to {unpacked:,} bytes, out of {size:,}")

    def read(self, name: str) -> memoryview:
        """Return a member's bytes: the file's own, mapped, where it is stored, else unpacked into memory.

        Raises `KeyError` for an unknown name and `DamagedArchive` for bytes that are not those that were packed.
        """
        member = self.members[name]
        start = self._start(member)
        packed = memoryview(self.content)[start : start + member.compress_size]
        content = _unpack(packed, member)
        # A writer that was told to skip checksums leaves a zero.
        if len(content) != member.file_size or (member.CRC and zlib.crc32(content) != member.CRC):
            raise DamagedArchive(f"has a damaged member, {shown(name)}")
        return content

    def _start(self, member: zipfile.ZipInfo) -> int:
        """Return where a member's bytes begin, from its own header: the directory does not say."""
        header = self.content[member.header_offset : member.header_offset + _LOCAL_HEADER]
        if len(header) < _LOCAL_HEADER or not header.startswith(b"PK\x03\x04"):
            raise DamagedArchive(f"has a damaged member, {shown(member.filename)}")
        name, extra = struct.unpack("<HH", header[-4:])
        return member.header_offset + _LOCAL_HEADER + name + extra


def _unpack(packed: memoryview, member: zipfile.ZipInfo) -> memoryview:
    if member.flag_bits & _ENCRYPTED:
        raise DamagedArchive("is encrypted")
    if member.compress_type == zipfile.ZIP_STORED:
        return packed
    if member.compress_type != zipfile.ZIP_DEFLATED:
        raise DamagedArchive("is packed by a method that torch does not use")
    try:
        # One byte more than is said, so that a member that goes on is seen and not unpacked.
        return memoryview(bytearray(zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.file_size + 1)))
    except zlib.error:
        raise DamagedArchive(f"has a damaged member, {shown(member.filename)}") from None


def _directory_size(content: mmap.mmap) -> int:
    """Return how many bytes the directory is said to take, where ``zipfile`` looks for it."""
    end = content.rfind(_END, max(0, len(content) - _LONGEST_COMMENT - _END_SIZE))
    if end < 0 or end + _END_SIZE > len(content):
        raise DamagedArchive("is no whole archive")
    (size,) = struct.unpack("<I", content[end + 12 : end + 16])
    large = end - _LOCATOR_SIZE - _END64_SIZE
    if large >= 0 and content[large : large + 4] == _END64:
        (in_large,) = struct.unpack("<Q", content[large + 40 : large + 48])
        return max(in_large, 0 if size == _IN_END64 else size)
    return size
