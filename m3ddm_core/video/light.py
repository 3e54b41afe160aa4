"""What an HDR video says of the display it was graded on, and of its own brightest light (SMPTE ST 2086, CTA-861.3)."""

from __future__ import annotations

import struct
from typing import Any

CHROMATICITY, LUMINANCE = 50_000, 10_000
"""The units in which encoders take coordinates, and candela a square metre: so many make one."""

_DISPLAY = struct.Struct("20i2i")
"""AVMasteringDisplayMetadata: red, green, blue, white, each x and y, the least and the most light, as fractions
of two integers; and whether colours and light are given."""
_LEVELS = struct.Struct("2I")


def light_of(frame: Any) -> dict[str, str]:
    """What a PyAV frame says, by x265's names and in its words; empty for a frame that says nothing."""
    from av.sidedata.sidedata import Type

    try:
        display = frame.side_data.get(Type.MASTERING_DISPLAY_METADATA)
        levels = frame.side_data.get(Type.CONTENT_LIGHT_LEVEL)
    except ValueError:
        # PyAV has no name for something else that the frame carries, and then gives nothing.
        return {}
    said = {"master-display": _display(bytes(display))} if display is not None else {}
    if levels is not None:
        said["max-cll"] = "{},{}".format(*_LEVELS.unpack_from(bytes(levels)))
    return {name: text for name, text in said.items() if text}


def _display(data: bytes) -> str:
    *numbers, has_colours, has_light = _DISPLAY.unpack_from(data)
    fractions = list(zip(numbers[::2], numbers[1::2], strict=True))
    if not (has_colours and has_light) or not all(below for _, below in fractions):
        return ""
    units = [CHROMATICITY] * 8 + [LUMINANCE] * 2
    red_x, red_y, green_x, green_y, blue_x, blue_y, white_x, white_y, least, most = (
        round(above * unit / below) for (above, below), unit in zip(fractions, units, strict=True)
    )
    return f"G({green_x},{green_y})B({blue_x},{blue_y})R({red_x},{red_y})WP({white_x},{white_y})L({most},{least})"
