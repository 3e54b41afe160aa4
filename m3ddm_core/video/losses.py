"""What a damaged file has lost, so that a video which comes out shorter does not do so without a word."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import InputContainer

TOLERATED = Fraction(1, 5)
"""Seconds by which a video may end before its file says: less is how containers round."""

_CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)", re.ASCII)


@dataclass
class Losses:
    """What could not be read of a stream: how many of ``packets`` were ``refused``, and whether it ``broke_off``.

    ``unshown``: packets beside those, which have no frame of their own: they only say that the frame before is to stay,
    or lie where an edit list cuts away.
    """

    packets: int = 0
    unshown: int = 0
    refused: int = 0
    broke_off: bool = False


def tell_losses(name: str, losses: Losses, container: InputContainer, stream: Any, found: int, seconds: float) -> None:
    """Log what of a stream that was read to its end is missing, of which ``found`` frames of ``seconds`` are there."""
    # A file that says that it has more frames than bytes says nothing.
    stored = stream.frames if stream.frames <= container.size else 0
    expected = max(stored - losses.unshown, losses.packets)
    broke_off = losses.broke_off or losses.packets < expected
    stated = _stated_seconds(container, stream)
    if losses.refused or broke_off:
        logging.warning(
            "M3DDM: %s is damaged%s: %d of its %d frames are lost. The others keep their times.",
            name,
            " and breaks off" if broke_off else "",
            max(expected - found, losses.refused),
            expected,
        )
    elif not stored and stated is not None and stated - seconds > TOLERATED:
        logging.warning("M3DDM: %s breaks off: it ends after %.1f of %.1f seconds.", name, seconds, stated)


def tell_refused(name: str, losses: Losses) -> None:
    """Log what could not be read of a part of a stream."""
    if losses.refused or losses.broke_off:
        logging.warning(
            "M3DDM: %s is damaged%s: %d of the frames asked for, or before them, are lost.",
            name,
            " and breaks off" if losses.broke_off else "",
            losses.refused,
        )


def _stated_seconds(container: InputContainer, stream: Any) -> float | None:
    """How long a file says that its pictures last; None where it does not say, or speaks of the sound as well."""
    import av

    # Matroska has it in a tag.
    tag = _CLOCK.fullmatch(stream.metadata.get("DURATION", ""))
    if tag:
        hours, minutes, seconds = (float(part) for part in tag.groups())
        return 3600 * hours + 60 * minutes + seconds
    alone = len(container.streams) == 1 and container.duration
    return container.duration / av.time_base if alone else None
