"""What a user typed, as messages repeat it."""

from __future__ import annotations

MOST_SHOWN = 80


def quoted(value: object) -> str:
    """The value as Python writes it, cut where it is long: a message is to be read, whatever was pasted."""
    shown = repr(value)
    return shown if len(shown) <= MOST_SHOWN else f"{shown[:MOST_SHOWN]}... ({len(shown):,} characters)"
