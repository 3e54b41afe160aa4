"""Source frames -> canvas, mask and placement."""

from __future__ import annotations

import logging

import torch
from comfy_api.latest import io, ui

from ..m3ddm_core.canvas import drop_alpha, make_canvas
from ..m3ddm_core.geometry import ANCHORS, CANVAS_SHAPES, FILL_NAMES, Placement, parse_ratio, place
from .types import CATEGORY, PlacementSocket

RATIOS = ["16:9", "9:16", "1:1", "4:5", "5:4", "4:3", "3:4", "21:9"]
CUSTOM_RATIO, PIXELS, OFFSET = "custom ratio", "pixels", "offset"
TARGETS = [*RATIOS, CUSTOM_RATIO, PIXELS]
MOST_PIXELS = 16384
TINT = (0.9, 0.1, 0.6)
DIMMED = 0.4


class EdgeMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_EdgeMask",
            display_name="M3DDM Edge Mask",
            category=CATEGORY,
            description="Places the source frames in a larger target and makes the canvas the network works on: "
            "filled border, mask, and a record of where everything lies.",
            search_aliases=["outpaint", "video outpainting", "pad video", "extend frame", "aspect ratio", "uncrop"],
            inputs=[
                io.Image.Input("images", tooltip="The source frames, in order. One frame is enough."),
                io.Combo.Input(
                    "target",
                    options=TARGETS,
                    default="16:9",
                    tooltip="Shape of the finished picture. The source is never cropped: only the sides that are too "
                    "short grow. custom ratio reads custom_ratio, pixels reads left, top, right and bottom.",
                ),
                io.String.Input(
                    "custom_ratio",
                    default="16:9",
                    tooltip="Width to height, such as 16:9, 2.39:1 or 1080:1350. Used when target is custom ratio.",
                ),
                *(
                    io.Int.Input(
                        side,
                        default=0,
                        min=0,
                        max=MOST_PIXELS,
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
                    tooltip="Where the source lies in the target. offset reads offset_x and offset_y. Has no effect "
                    "when target is pixels.",
                ),
                *(
                    io.Int.Input(
                        name,
                        default=0,
                        min=0,
                        max=MOST_PIXELS,
                        tooltip=f"{edge} edge of the source inside the target, in source pixels. "
                        "Used when anchor is offset.",
                    )
                    for name, edge in (("offset_x", "Left"), ("offset_y", "Top"))
                ),
                io.Int.Input(
                    "canvas_size",
                    default=256,
                    min=64,
                    max=2048,
                    step=8,
                    tooltip="Longest side of the canvas in pixels, a multiple of 8. The network was trained at 256; "
                    "larger is sharper, slower and less certain to hang together. Never larger than the target.",
                ),
                io.Combo.Input(
                    "canvas_shape",
                    options=list(CANVAS_SHAPES),
                    default="square",
                    tooltip="square: as trained, the target is centred in a square and cropped out afterwards. "
                    "target: the canvas has the target's shape, which is faster for wide or tall targets.",
                ),
                io.Combo.Input(
                    "fill",
                    options=list(FILL_NAMES),
                    default="smooth",
                    tooltip="How the unknown border is filled before sampling starts. smooth needs nothing else; "
                    "telea is the release's method and needs OpenCV.",
                ),
                io.Int.Input(
                    "size_multiple",
                    default=2,
                    min=1,
                    max=64,
                    tooltip="The finished width and height become multiples of this by growing the generated border. "
                    "2 suits video encoders; 1 keeps odd sizes.",
                ),
                io.Int.Input(
                    "first_frames",
                    default=0,
                    min=0,
                    max=1_000_000,
                    tooltip="Use only this many frames from the start, for a quick trial of a long video. 0 uses all.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="canvas", tooltip="Frames at canvas size with the unknown border filled in."
                ),
                io.Mask.Output(
                    display_name="mask",
                    tooltip="1 where the picture is to be generated, 0 on the source. One mask serves all frames.",
                ),
                PlacementSocket.Output(
                    display_name="placement",
                    tooltip="Where source, target and canvas lie; M3DDM Encode Context and M3DDM Composite need it.",
                ),
                io.Image.Output(
                    display_name="frames",
                    tooltip="The source frames that are used, at full size: all, or the first ones.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, target: str | None = None, custom_ratio: str | None = None) -> bool | str:
        """A wrong ratio is told before anything runs. A value that comes over a wire is None here."""
        if target is not None and target not in TARGETS:
            return f"Unknown target {target!r}. Expected one of {', '.join(TARGETS)}."
        if target == CUSTOM_RATIO and custom_ratio is not None:
            try:
                parse_ratio(custom_ratio)
            except ValueError as error:
                return str(error)
        return True

    @classmethod
    def execute(
        cls,
        images: torch.Tensor,
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
        first_frames: int,
    ) -> io.NodeOutput:
        count, height, width = images.shape[:3]
        by_pixels = target == PIXELS
        placement = place(
            (width, height),
            min(first_frames or count, count),
            ratio=None if by_pixels else custom_ratio if target == CUSTOM_RATIO else target,
            pixels=(left, top, right, bottom) if by_pixels else None,
            anchor=anchor,
            offset=(offset_x, offset_y) if anchor == OFFSET else None,
            canvas_size=canvas_size,
            canvas_shape=canvas_shape,
            size_multiple=size_multiple,
            fill=fill,
            source_frames=count,
        )
        if placement.is_full:
            logging.warning(
                "M3DDM Edge Mask: nothing to outpaint, the source of %dx%d has the target's size already. "
                "The frames pass through unchanged; choose another target.",
                width,
                height,
            )
        frames = drop_alpha(images)[: placement.frames]
        canvas, mask = make_canvas(frames, placement)
        preview = _preview(canvas[len(canvas) // 2], mask[0], placement)
        return io.NodeOutput(canvas, mask, placement, frames, ui=ui.PreviewImage(preview, cls=cls))


def _preview(canvas: torch.Tensor, mask: torch.Tensor, placement: Placement) -> torch.Tensor:
    """(1, ch, 2cw, 3): a canvas (ch, cw, 3) with what is to be generated tinted, beside its mask (ch, cw).

    What lies beyond the target, and is cropped in the end, is dimmed.
    """
    x, y, width, height = placement.canvas_target
    shade = torch.full_like(mask, DIMMED)
    shade[y : y + height, x : x + width] = 1
    mask, shade = mask.unsqueeze(-1), shade.unsqueeze(-1)
    tinted = torch.lerp(canvas, canvas.new_tensor(TINT), 0.2 * mask)
    return (torch.cat([tinted, mask.expand_as(canvas)], dim=1) * torch.cat([shade, shade], dim=1)).unsqueeze(0)
