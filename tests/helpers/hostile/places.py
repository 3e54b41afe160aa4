"""Files by the wrong name, files that are something else, and things in a file's place that are no files."""

from __future__ import annotations

import io
import os
import random
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from .case import RIGHT, Case, Weights, lightning_bytes, older_bytes, put, safetensors_bytes, zip_bytes

RENAMED: dict[str, Callable[[Weights], bytes]] = {
    "zipped.safetensors": zip_bytes,
    "older.safetensors": older_bytes,
    "trainer.safetensors": lightning_bytes,
    "zipped.SAFETENSORS": zip_bytes,
    "tensors.bin": safetensors_bytes,
    "tensors.ckpt": safetensors_bytes,
    "tensors.pth": safetensors_bytes,
    "tensors": safetensors_bytes,
    "tensors.SafeTensors": safetensors_bytes,
    "two\nlines \x1b[31m.safetensors": safetensors_bytes,
    "Ünï çödé 视频 #1 %20.safetensors": safetensors_bytes,
}
OTHER_FILES: dict[str, bytes] = {
    "empty": b"",
    "a web page": b"<!DOCTYPE html><html><body>Sign in</body></html>",
    "an error of a web site": b'{"error": "Entry not found"}',
    "XML": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 2598750000\n",
    "GGUF": b"GGUF\x03\x00\x00\x00" + bytes(100),
    "zeros": bytes(4096),
    "text": b"weights, to follow\n" * 50,
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "a film": b"\x00\x00\x00\x20ftypisom" + bytes(100),
    "gzip": b"\x1f\x8b\x08\x00" + bytes(100),
    "a RAR archive": b"Rar!\x1a\x07\x00" + bytes(100),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "four bytes of an archive": b"PK\x03\x04",
    "an empty archive": b"PK\x05\x06" + bytes(18),
    "one byte of a pickle": b"\x80",
    "a pickle of text": b"\x80\x02garbage",
    "a program": b"\x7fELF" + bytes(100),
}
NOISES = 10


def cases() -> Iterator[Case]:
    for name, pack in RENAMED.items():
        yield Case("another name", name, lambda f, w, name=name, pack=pack: put(f / name, pack(w)), RIGHT)
    for name, content in OTHER_FILES.items():
        for file in ("m.safetensors", "m.bin"):
            write = lambda f, _, file=file, content=content: put(f / file, content)  # noqa: E731
            yield Case("another file", f"{name}, {file}", write)
    for seed in range(NOISES):
        write = lambda f, _, seed=seed: put(f / "m.safetensors", random.Random(seed).randbytes(5000))  # noqa: E731
        yield Case("another file", f"noise {seed}", write)
    yield Case("another file", "a tar archive that begins like a pickle", _tar)
    yield Case("no file", "nothing", lambda f, _: f / "absent.safetensors")
    yield Case("no file", "a folder", _folder)
    yield Case("no file", "a pipe", _pipe)
    yield Case("no file", "a device", lambda f, _: _link(f, "/dev/zero"))
    yield Case("no file", "a link to nothing", lambda f, _: _link(f, "absent.bin"))
    yield Case("no file", "a link to itself", lambda f, _: _link(f, "m.safetensors"))
    yield Case("no file", "a name of 5,000 letters", lambda f, _: f / ("a" * 5000 + ".safetensors"))
    yield Case("no file", "a name with a zero in it", lambda f, _: f / "a\x00b.safetensors")
    yield Case("no file", "below a file", lambda f, _: put(f / "a", b"") / "m.safetensors")


def _folder(folder: Path, _: Weights) -> Path:
    (folder / "m.safetensors").mkdir()
    return folder / "m.safetensors"


def _pipe(folder: Path, _: Weights) -> Path:
    os.mkfifo(folder / "m.safetensors")
    return folder / "m.safetensors"


def _link(folder: Path, target: str) -> Path:
    (folder / "m.safetensors").symlink_to(target)
    return folder / "m.safetensors"


def _tar(folder: Path, weights: Weights) -> Path:
    """torch's oldest form was a tar archive, which its loader unpacks into a folder of its own."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", encoding="latin-1") as archive:
        member = tarfile.TarInfo("\x80\x02pickle")
        archive.addfile(member, io.BytesIO())
    return put(folder / "m.pth", stream.getvalue())
