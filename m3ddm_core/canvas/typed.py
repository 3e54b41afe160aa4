"""Numbers as they are typed on any keyboard."""

from __future__ import annotations

_FULL_WIDTH = {code + 0xFEE0: code for code in range(ord("!"), ord("~") + 1)}
_PLAIN = {**_FULL_WIDTH, ord("\N{IDEOGRAPHIC SPACE}"): " ", ord("、"): ",", ord("\N{MINUS SIGN}"): "-"}


def plain(text: str) -> str:
    """The text with the full-width digits and signs of Chinese and Japanese keyboards as those of others."""
    return text.translate(_PLAIN)
