"""A video as a folder of pictures: ``000001.png`` and on, sound in ``sound.wav``, and all else in ``video.json``."""

from __future__ import annotations

import json
import os
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .formats import Encoding
from .shots import Packet
from .sound import Sound
from .sound_writer import SoundWriter
from .source import VideoInfo
from .whole import telling, whole_folder

PICTURE = re.compile(r"\d{6,}\.png", re.ASCII)
SOUND, ABOUT = "sound.wav", "video.json"
HEAD = 33
"""Bytes of a PNG file before which no text may stand: its signature and its first chunk."""


@contextmanager
def picture_folder(
    folder: str | os.PathLike[str],
    info: VideoInfo,
    sound: Sound | None,
    *,
    encoding: Encoding,
    metadata: Mapping[str, str],
) -> Iterator[PictureFiles]:
    """Yield where encoded pictures go: a folder, which appears when it is whole.

    A folder that is there is replaced. The first picture carries ``metadata``, as ComfyUI's pictures carry a workflow.
    Raises `CannotWrite`.
    """
    with telling(folder), whole_folder(folder) as part:
        yield PictureFiles(part, metadata)
        if sound:
            _write_sound(part / SOUND, sound, encoding.kind.sound)
        (part / ABOUT).write_text(json.dumps(_about(info), indent=1) + "\n", encoding="utf-8")


def is_sequence(folder: Path) -> bool:
    """Whether a folder holds such a video, and nothing else: it can be replaced."""
    names = {path.name for path in folder.iterdir()}
    return all(PICTURE.fullmatch(name) for name in names - {SOUND, ABOUT})


class PictureFiles:
    """Encoded pictures as files, as `Sink` has it."""

    head = b""

    def __init__(self, folder: Path, metadata: Mapping[str, str]):
        self._folder, self._metadata = folder, metadata

    def put(self, number: int, packet: Packet) -> None:
        _, data = packet
        if number == 0:
            data = data[:HEAD] + b"".join(_text_chunk(*text) for text in self._metadata.items()) + data[HEAD:]
        (self._folder / f"{number + 1:06d}.png").write_bytes(data)


def _text_chunk(key: str, text: str) -> bytes:
    """A chunk of text (PNG specification, 11.3.3.4): a key in Latin-1 of up to 79 bytes, and text in UTF-8."""
    body = b"iTXt" + key.encode("latin-1", "replace")[:79] + bytes(5) + text.encode("utf-8", "replace")
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def _write_sound(path: Path, sound: Sound, encoder: str) -> None:
    import av

    with av.open(path, "w", format="wav") as container:
        voice = SoundWriter(container, sound, encoder)
        voice.finish()


def _about(info: VideoInfo) -> dict[str, Any]:
    timeline = info.timeline
    return {
        "frames_per_second": str(timeline.rate),
        "seconds": [round(timeline.second(number), 6) for number in range(len(timeline) + 1)],
        "colours": {"matrix": info.matrix, "primaries": info.primaries, "transfer": info.transfer},
        "metadata": info.metadata,
    }
