"""A video file that has to stay what it is: it is read several times, with hours of work in between."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from torch import Tensor

from .file import FileSource
from .reader import File
from .source import OnFrame

Part = TypeVar("Part")


class ChangedVideo(ValueError):
    """A video file is no longer what was opened, or no longer there."""


@dataclass(frozen=True)
class Stamp:
    """A file's size and the time of its last change; those of bytes never change."""

    file: File
    size: int
    changed: int

    @classmethod
    def of(cls, file: File) -> Stamp:
        """Look at a file as it is now. Raises OSError."""
        if isinstance(file, io.BytesIO):
            return cls(file, 0, 0)
        status = os.stat(file)
        return cls(file, status.st_size, status.st_mtime_ns)

    def require_same(self) -> None:
        """Raise `ChangedVideo` unless the file is there and as it was."""
        try:
            same = Stamp.of(self.file) == self
        except OSError as error:
            raise self.gone(error) from error
        if not same:
            raise ChangedVideo(
                f"got {os.fspath(self.file)}, which has been changed since it was opened, expected the same file to "
                "the end of the run; leave it alone while the run goes on, and open it again"
            )

    def gone(self, error: OSError) -> ChangedVideo:
        """What to raise for a file that the system no longer reads."""
        return ChangedVideo(
            f"got {os.fspath(self.file)}, which can no longer be read ({error.strerror or error}), expected the file "
            "that was opened; bring it back, or the disk or share that it lies on, and start the run again"
        )


class SteadyFile:
    """A `FileSource`, read as often as one likes, in which any change of the file since it was opened is found out.

    What is read of two files would otherwise end in one video: the border of the first around the frames of the second.
    Raises what `FileSource` raises, and `ChangedVideo`.
    """

    def __init__(
        self,
        file: File,
        start: float = 0.0,
        duration: float = 0.0,
        *,
        most: int = 0,
        fields: str = "auto",
        on_frame: OnFrame | None = None,
    ):
        try:
            self.stamp = Stamp.of(file)
        except OSError:
            self.stamp = Stamp(file, -1, 0)  # Who is about to read it says better what is wrong.
        self._source = FileSource(file, start, duration, most=most, fields=fields, on_frame=on_frame)
        self.stamp.require_same()
        self.info, self.thumbnails = self._source.info, self._source.thumbnails
        self.digests = self._source.digests
        sound = self._source.sound
        self.sound = sound and replace(sound, blocks=lambda: self._watched(sound.blocks()))

    def frames(self) -> Iterator[Tensor]:
        """Each frame (h, w, 3), float32, 0..1, upright. Raises `ChangedVideo`."""
        return self._watched(self._source.frames())

    def _watched(self, parts: Iterator[Part]) -> Iterator[Part]:
        """What is read of the file, for as long as it is the file that was opened."""
        self.stamp.require_same()
        try:
            for part in parts:
                self.stamp.require_same()
                yield part
        except ChangedVideo:
            raise
        # Of a file that was changed, anything may be wrong.
        except (ValueError, OSError) as error:
            self.stamp.require_same()
            if isinstance(error, OSError):
                raise self.stamp.gone(error) from error
            raise
        self.stamp.require_same()
