"""Whether a video can be read from where it is said to lie, and written to where it is to go, while it is early."""

from __future__ import annotations

import os
from pathlib import Path

from .formats import Encoding
from .sequence import is_sequence
from .whole import require_name, require_place


def check_files(
    source: str | os.PathLike[str], target: str | os.PathLike[str], encoding: Encoding, *, overwrite: bool
) -> None:
    """Raise ValueError or OSError for files that `outpaint_file` cannot read or write."""
    source, target = Path(source), Path(target)
    require_name(target)
    if source.is_dir():
        raise ValueError(f"got the folder {source}, expected a video file")
    if not source.is_file():
        raise FileNotFoundError(f"got {source}, where no file lies; expected a video file")
    encoding.require_name(target)
    encoding.require_encoder()
    _require_kind(target, encoding)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"got {target} to write to, expected the folder {target.parent} to exist; make it first"
        )
    if target.exists() and source.samefile(target):
        raise ValueError(f"got {target} for both input and output, expected another name for the output")
    if target.exists() and not overwrite:
        raise FileExistsError(f"got {target}, which exists, expected a new name; overwrite replaces it")
    require_place(target)


def _require_kind(target: Path, encoding: Encoding) -> None:
    """Raise ValueError where a folder stands in the way of a file, or what is no folder of pictures in that of one."""
    if encoding.kind.containers and target.is_dir():
        raise ValueError(f"got the folder {target} to write to, expected the name of a file")
    if not encoding.kind.containers and target.exists() and not (target.is_dir() and is_sequence(target)):
        raise ValueError(
            f"got {target} to write pictures to, which holds something else, expected a new name; it is not replaced"
        )
