"""Inputs that several nodes have, each defined once, and what they mean to the core."""

from __future__ import annotations

import logging

from comfy_api.latest import io

from ...m3ddm_core.canvas.fill import FILL_METHODS
from ...m3ddm_core.canvas.framing import Framing
from ...m3ddm_core.canvas.limits import MOST_CANVAS, MOST_SIDE
from ...m3ddm_core.canvas.placement import ANCHORS, CANVAS_SHAPES, LATENT_SCALE, parse_ratio
from ...m3ddm_core.canvas.quoted import quoted
from ...m3ddm_core.canvas.result_size import (
    AS_SOURCE,
    AUTOMATIC,
    KINDS,
    MEASURES,
    MEGAPIXELS,
    MOST_BY_ITSELF,
    MOST_MEGAPIXELS,
    ResultSize,
)
from ...m3ddm_core.composite.blend import BLENDS
from ...m3ddm_core.composite.colour_match import COLOUR_MATCHES
from ...m3ddm_core.composite.resample import KERNELS
from ...m3ddm_core.video.cuts import CUT_THRESHOLD

RATIOS = ["16:9", "9:16", "1:1", "4:5", "5:4", "4:3", "3:4", "21:9"]
CUSTOM_RATIO, PIXELS, OFFSET = "custom ratio", "pixels", "offset"
TARGETS = [*RATIOS, CUSTOM_RATIO, PIXELS]

IF_ABSENT = "if_absent"
"""Option of an input whose default changed: what it means in files from before it came (nodes/web/if_absent.js)."""
SHOWN_WHEN = "shown_when"
"""Option of an input that has an effect only beside some values of others: those, or True for any but 0 and false."""
SAYS = "says"
"""Option of a combo: a line for each value that stands for more than its name (nodes/web/shown_when.js, both)."""


def canvas_size_input() -> io.Input:
    """The size of the canvas, where no network is at hand to say which it was made for."""
    return io.Int.Input(
        "canvas_size",
        default=256,
        min=64,
        max=MOST_CANVAS,
        step=LATENT_SCALE,
        tooltip="Longest side of the canvas in pixels, a multiple of 8. The published network was trained at 256, the "
        "pack's demonstration at 128. A larger canvas is sharper and slower, and the picture on it holds together "
        "less well. Never larger than the target.",
    )


def placement_inputs(canvas_size: io.Input) -> list[io.Input]:
    """Where the source lies in the target, and the canvas: the keywords of `framing_of`, and ``first_frames``."""
    return [
        io.Combo.Input(
            "target",
            options=TARGETS,
            default="16:9",
            tooltip="Shape of the finished picture. The source is never cropped: only the sides that are too short "
            "grow. custom ratio uses custom_ratio; pixels uses left, top, right and bottom.",
        ),
        io.String.Input(
            "custom_ratio",
            default="16:9",
            extra_dict={SHOWN_WHEN: {"target": [CUSTOM_RATIO]}},
            tooltip="Width to height, such as 16:9, 2.39:1 or 1080:1350. Used when target is custom ratio.",
        ),
        *(
            io.Int.Input(
                side,
                default=0,
                min=0,
                max=MOST_SIDE,
                extra_dict={SHOWN_WHEN: {"target": [PIXELS]}},
                tooltip=f"Source pixels to add {where}. Used when target is pixels.",
            )
            for side, where in (
                ("left", "on the left"),
                ("top", "above"),
                ("right", "on the right"),
                ("bottom", "below"),
            )
        ),
        io.Combo.Input(
            "anchor",
            options=[*ANCHORS, OFFSET],
            default="center",
            advanced=True,
            extra_dict={SHOWN_WHEN: {"target": [target for target in TARGETS if target != PIXELS]}},
            tooltip="Where the source lies in the target. offset uses offset_x and offset_y. Has no effect when "
            "target is pixels.",
        ),
        *(
            io.Int.Input(
                name,
                default=0,
                min=0,
                max=MOST_SIDE,
                extra_dict={SHOWN_WHEN: {"anchor": [OFFSET], "target": [one for one in TARGETS if one != PIXELS]}},
                tooltip=f"{edge} edge of the source inside the target, in source pixels. Used when anchor is offset.",
            )
            for name, edge in (("offset_x", "Left"), ("offset_y", "Top"))
        ),
        canvas_size,
        io.Combo.Input(
            "canvas_shape",
            options=list(CANVAS_SHAPES),
            default="square",
            advanced=True,
            tooltip="square: the target is centred in a square, as the network was trained, and cropped out "
            "afterwards. target: the canvas has the target's shape, which is faster for wide or tall targets.",
        ),
        io.Combo.Input(
            "fill",
            options=list(FILL_METHODS),
            default="smooth",
            advanced=True,
            tooltip="How the unknown border is filled before sampling starts. smooth needs nothing else; "
            "telea is the published code's method and needs OpenCV.",
        ),
        io.Int.Input(
            "size_multiple",
            default=2,
            min=1,
            max=64,
            advanced=True,
            tooltip="The finished width and height are rounded to multiples of this; only the generated border "
            "changes. 2 suits video encoders; 1 keeps odd sizes.",
        ),
        io.Int.Input(
            "first_frames",
            default=0,
            min=0,
            max=1_000_000,
            advanced=True,
            tooltip="Use only this many frames from the start, for a quick trial of a long video. 0 uses all.",
        ),
    ]


def result_size_inputs() -> list[io.Input]:
    """How large finished frames are to be: keywords of `framing_of`. Saved prompts of the first releases lack them."""
    return [
        io.Combo.Input(
            "result_size",
            options=list(KINDS),
            default=AUTOMATIC,
            optional=True,
            extra_dict={IF_ABSENT: AS_SOURCE},
            tooltip="How large the finished picture is; the source is scaled to fit, once. automatic: its short side "
            f"is the source's, at most {MOST_BY_ITSELF} (where target is pixels, the source's short side is at most "
            "that). short side, height and longest side use result_pixels, megapixels uses result_megapixels. as the "
            "source: nothing is scaled, and the picture is as large as its shape makes it.",
        ),
        io.Int.Input(
            "result_pixels",
            default=MOST_BY_ITSELF,
            min=16,
            max=MOST_SIDE,
            optional=True,
            extra_dict={SHOWN_WHEN: {"result_size": list(MEASURES)}},
            tooltip="Length in pixels of the side that result_size names.",
        ),
        io.Float.Input(
            "result_megapixels",
            default=2.0,
            min=0.01,
            max=MOST_MEGAPIXELS,
            step=0.01,
            optional=True,
            extra_dict={SHOWN_WHEN: {"result_size": [MEGAPIXELS]}},
            tooltip="Size of the finished picture in millions of pixels; 1920x1080 is 2.07. Used when result_size is "
            "megapixels.",
        ),
    ]


def source_mask_input() -> io.Input:
    """The user's own mask over the source. Saved prompts of the first release do not have it."""
    return io.Mask.Input(
        "source_mask",
        optional=True,
        tooltip="1 where part of the source itself is to be generated anew, such as a logo or black bars; any shape "
        "will do. It has the source's size: one mask for all frames, or one for each.",
    )


def warn_of_nothing(node: str, size: tuple[int, int], masked: bool) -> None:
    """Log that a source of ``size`` (width, height) has no border, nor anything under the mask that it may have."""
    logging.warning(
        "%s: nothing to outpaint, the source of %dx%d has the target's size already%s. The frames pass through "
        "unchanged; choose another target.",
        node,
        *size,
        " and source_mask is 0 everywhere" if masked else "",
    )


def check_target(target: str | None, custom_ratio: str | None) -> bool | str:
    """True, or what is wrong with the target asked for. A value that comes over a wire is None."""
    if target is not None and target not in TARGETS:
        return f"got the target {quoted(target)}, expected one of {', '.join(TARGETS)}"
    if target == CUSTOM_RATIO and custom_ratio is not None:
        try:
            parse_ratio(custom_ratio)
        except ValueError as error:
            return str(error)
    return True


def framing_of(
    *,
    target: str,
    custom_ratio: str,
    left: int,
    top: int,
    right: int,
    bottom: int,
    anchor: str,
    offset_x: int,
    offset_y: int,
    canvas_size: int,
    canvas_shape: str,
    fill: str,
    size_multiple: int,
    result_size: str = AS_SOURCE,  # Prompts saved before there was such an input go on meaning what they meant.
    result_pixels: int = MOST_BY_ITSELF,
    result_megapixels: float = 2.0,
) -> Framing:
    """What `placement_inputs`, all but ``first_frames``, and `result_size_inputs` ask for."""
    by_pixels = target == PIXELS
    value = result_pixels if result_size in MEASURES else result_megapixels if result_size == MEGAPIXELS else 0
    return Framing(
        ratio=None if by_pixels else custom_ratio if target == CUSTOM_RATIO else target,
        pixels=(left, top, right, bottom) if by_pixels else None,
        anchor=anchor,
        offset=(offset_x, offset_y) if anchor == OFFSET else None,
        canvas_size=canvas_size,
        canvas_shape=canvas_shape,
        size_multiple=size_multiple,
        fill=fill,
        size=ResultSize(result_size, value),
    )


def cut_inputs(scene_cuts: str) -> list[io.Input]:
    """Where a video's scenes begin; ``scene_cuts``: what the switch's tooltip says."""
    return [
        io.Boolean.Input("scene_cuts", default=True, advanced=True, tooltip=scene_cuts),
        io.Float.Input(
            "cut_threshold",
            default=CUT_THRESHOLD,
            min=0.0,
            max=1.0,
            step=0.01,
            advanced=True,
            extra_dict={SHOWN_WHEN: {"scene_cuts": True}},
            tooltip="How much two frames must differ, beyond the frames around them, to count as a cut. Lower it where "
            "cuts are missed, raise it where there are too many.",
        ),
    ]


def composite_inputs(advanced: bool) -> list[io.Input]:
    """How the generated border meets the source: the keywords of the core's `composite`; ``advanced``: on a node of
    which it is not the business."""
    return [
        io.Int.Input(
            "feather",
            default=8,
            min=0,
            max=512,
            advanced=advanced,
            tooltip="Width of the soft edge inside the source, in pixels of the finished picture. "
            "0 keeps every source pixel and leaves a hard edge.",
        ),
        io.Combo.Input(
            "colour_match",
            options=list(COLOUR_MATCHES),
            default="steady",
            advanced=advanced,
            tooltip="linear shifts the generated border's colours towards those of the source, for each channel and "
            "each frame; it helps against a tint. steady does the same without flicker from frame to frame, and still "
            "follows a fade or a flash at once.",
        ),
        io.Combo.Input(
            "resampling",
            options=list(KERNELS),
            default="lanczos",
            advanced=True,
            tooltip="Filter used to scale the generated frames up.",
        ),
        # Saved prompts of the first release do not have it.
        io.Combo.Input(
            "blend",
            options=list(BLENDS),
            default="gradient",
            optional=True,
            advanced=advanced,
            extra_dict={IF_ABSENT: "feather"},
            tooltip="gradient corrects the generated border smoothly, so that no line shows where it meets the "
            "source; best with colour_match steady. feather only blends the two over the soft edge.",
        ),
    ]


def seed_input() -> io.Input:
    return io.Int.Input(
        "seed",
        default=0,
        min=0,
        max=0xFFFFFFFFFFFFFFFF,
        control_after_generate=True,
        tooltip="Random seed of the noise, which is the same for every clip. Use one seed on all three levels.",
    )
