"""What was seen around, in a journal: a run that goes on does not look around once more."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from ..seen.look import REVISION, Keep, always_look
from ..seen.packed import pack, unpack
from ..seen.recipe import Seen
from .digest import digest
from .store import Journal

FORMAT = 1
"""To be raised whenever an entry is written otherwise."""


def looks_in(journal: Journal | None) -> Keep:
    """What keeps all that is seen in a journal, if there is one, and gives what an earlier run has seen."""
    if journal is None:
        return always_look

    def keep(frames: Tensor, unseen: Seen, look: Callable[[], Seen]) -> Seen:
        key = _key(frames, unseen)
        kept = _take(journal, key, unseen)
        if kept is not None:
            logging.info("M3DDM: taking up what an earlier run has seen around in %d frames.", len(kept))
            return kept
        found = look()
        journal.put(key, pack(found))
        return found

    return keep


def _key(frames: Tensor, unseen: Seen) -> str:
    """Frames and where they lie are all that decides it, beside the code."""
    where = unseen.placement
    places = where.source, where.target, where.canvas, where.canvas_target, where.canvas_source, where.offset
    return digest((FORMAT, REVISION, str(torch.__version__), places, frames))


def _take(journal: Journal, key: str, unseen: Seen) -> Seen | None:
    """What was put under a key, if it can be used: its checksum was right, so what cannot is not ours."""
    packed = journal.take(key)
    if packed is None:
        return None
    try:
        return unpack(packed, unseen)
    # It may be anything of any shape, and each library has errors of its own for that.
    except Exception as error:
        logging.warning("M3DDM: what an earlier run has seen cannot be used (%s); it is looked for again.", error)
        return None
