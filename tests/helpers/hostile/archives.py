"""Zip archives that are packed, and those that lie about what is in them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator

from .case import RIGHT, Case, Weights, lightning_bytes, put, zip_bytes
from .pickles import pickled, zipped

KIND = "archive"
DIRECTORY, END, END64 = b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06"


def again(content: bytes, method: int = zipfile.ZIP_DEFLATED, **options: str) -> bytes:
    """Pack an archive's members anew, some under another name, or left out where that is empty."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w", method) as new:
        for member in old.infolist():
            name = member.filename
            for end, other in options.items():
                name = name if not name.endswith(f"/{end}") else other and name.removesuffix(end) + other
            if name:
                new.writestr(name, old.read(member))
    return stream.getvalue()


def bomb(size: int) -> bytes:
    """An archive whose one storage unpacks to ``size`` zeros, a thousandth of that when packed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", pickled({}))
        archive.writestr("m/data/0", bytes(size))
    return stream.getvalue()


def _patched(content: bytes, mark: bytes, place: int, form: str, value: int) -> bytes:
    """Overwrite one number of the last record that begins with ``mark``."""
    start = content.rindex(mark) + place
    return content[:start] + struct.pack(form, value) + content[start + struct.calcsize(form) :]


PACKED: dict[str, Callable[[Weights], bytes]] = {
    "packed again, deflated": lambda w: again(zip_bytes(w)),
    "a trainer's, deflated": lambda w: again(lightning_bytes(w)),
    "packed again, stored": lambda w: again(zip_bytes(w), zipfile.ZIP_STORED),
    "checksums left out": lambda w: _no_checksums(zip_bytes(w)),
}
LYING: dict[str, Callable[[Weights], bytes]] = {
    "bzip2": lambda w: again(zip_bytes(w), zipfile.ZIP_BZIP2),
    "lzma": lambda w: again(zip_bytes(w), zipfile.ZIP_LZMA),
    "no pickle": lambda w: again(zip_bytes(w), **{"data.pkl": ""}),
    "the pickle in a folder deeper": lambda w: again(zip_bytes(w), **{"data.pkl": "a/b/data.pkl"}),
    "a program": lambda w: again(zip_bytes(w), version="constants.pkl"),
    "numbers the other way round": lambda w: zip_bytes(w).replace(b"little", b"bigbig"),
    "a storage missing": lambda w: again(zip_bytes(w), **{"data/7": ""}),
    "a storage too short": lambda w: _short(zip_bytes(w)),
    "an empty dict in the pickle": lambda _: zipped(b"\x80\x02}."),
    "64 MB of zeros in 64 kB": lambda _: bomb(64 << 20),
    "3 GB by its directory": lambda w: _patched(zip_bytes(w), DIRECTORY, 24, "<I", 3_000_000_000),
    "packed into 3 GB": lambda w: _patched(zip_bytes(w), DIRECTORY, 20, "<I", 3_000_000_000),
    "a pickle of 64 MB of spaces": lambda _: _huge_pickle(),
    "an encrypted member": lambda w: _every(zip_bytes(w), DIRECTORY, 8, "<H", 1),
    "an unknown method": lambda w: _every(zip_bytes(w), DIRECTORY, 10, "<H", 77),
    "stored, said to be deflated": lambda w: _every(zip_bytes(w), DIRECTORY, 10, "<H", 8),
    "members at one place": lambda w: _every(zip_bytes(w), DIRECTORY, 42, "<I", 0),
    "members beyond the end": lambda w: _every(zip_bytes(w), DIRECTORY, 42, "<I", 1 << 31),
    "checksums of another file": lambda w: _every(zip_bytes(w), DIRECTORY, 16, "<I", 12345),
    "a large directory of 2 GB": lambda w: _patched(zip_bytes(w), END64, 40, "<Q", 2_000_000_000),
    "a directory of 2 GB": lambda w: _patched(zip_bytes(w), END, 12, "<I", 2_000_000_000),
    "a directory of nothing": lambda w: _patched(zip_bytes(w), END64, 40, "<Q", 0),
    "a directory beyond the end": lambda w: _patched(zip_bytes(w), END64, 48, "<Q", 1 << 40),
    "an end without a directory": lambda _: b"PK\x03\x04" + bytes(100) + END + bytes(18),
    "seventy thousand members": lambda _: _many(70_000),
    "members of one name": lambda _: _same_names(),
    "an ordinary archive": lambda w: _ordinary(),
}


def cases() -> Iterator[Case]:
    for name, make in PACKED.items():
        yield Case(KIND, name, lambda f, w, make=make: put(f / "m.bin", make(w)), RIGHT)
    for name, make in LYING.items():
        yield Case(KIND, name, lambda f, w, make=make: put(f / "m.bin", make(w)))


def _every(content: bytes, mark: bytes, place: int, form: str, value: int) -> bytes:
    """Overwrite one number of every record that begins with ``mark``."""
    found, start = bytearray(content), content.find(mark)
    while start >= 0:
        struct.pack_into(form, found, start + place, value)
        start = content.find(mark, start + 1)
    return bytes(found)


def _no_checksums(content: bytes) -> bytes:
    return _every(_every(content, DIRECTORY, 16, "<I", 0), b"PK\x03\x04", 14, "<I", 0)


def _short(content: bytes) -> bytes:
    """Let the directory say that a storage is two bytes shorter than it is, with a checksum that fits."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        member = next(member for member in archive.infolist() if member.filename.endswith("/data/0"))
        part = archive.read(member)[:-2]
    start = content.index(member.filename.encode(), content.index(DIRECTORY)) - 46
    return content[: start + 16] + struct.pack("<III", zlib.crc32(part), len(part), len(part)) + content[start + 28 :]


def _huge_pickle() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02" + b"N0" * (32 << 20))
    return stream.getvalue()


def _many(count: int) -> bytes:
    """An archive whose directory has that many entries, all for one empty member of eight letters."""
    head = struct.pack("<4s26x", b"PK\x03\x04")[:26] + struct.pack("<HH", 8, 0) + b"m/000000"
    entries = [DIRECTORY + bytes(24) + struct.pack("<H16x", 8) + b"m/%06d" % number for number in range(count)]
    directory = b"".join(entries)
    end = struct.pack("<4s4xHHIIH", END, count & 0xFFFF, count & 0xFFFF, len(directory), len(head), 0)
    return head + directory + end


def _same_names() -> bytes:
    content = zipped(pickled({}), {"0": bytes(2), "1": bytes(2)})
    return content.replace(b"m/data/1", b"m/data/0")


def _ordinary() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("diffusion_pytorch_model.bin", b"x")
    return stream.getvalue()
