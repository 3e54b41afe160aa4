"""A video -> a file in ComfyUI's output folder, of kinds that ComfyUI's own Save Video does not write."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import folder_paths
from comfy.cli_args import args
from comfy_api.latest import Input, io, ui

from ..m3ddm_core.canvas.quoted import quoted
from ..m3ddm_core.video.formats import BEST_QUALITY, BIT_DEPTHS, FORMATS, WORST_QUALITY, Encoding
from ..m3ddm_core.video.sequence import ABOUT
from .host.inputs import SHOWN_WHEN
from .host.sockets import CATEGORY
from .host.video import looking_through, open_source, save_video

LIKE_SOURCE = "like source"
DEPTHS = [LIKE_SOURCE, *map(str, BIT_DEPTHS)]
RATED = [name for name, kind in FORMATS.items() if kind.rated]
CHOICE_OF_BITS = [name for name, kind in FORMATS.items() if len(kind.codings) > 1]
"""The formats for which quality and bit depth have an effect; beside others they are not shown."""
IN_BROWSERS = "h264"
"""The format that every browser plays; of the others a small copy is shown."""


class SaveVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        kinds = "; ".join(f"{name}: {kind.about}" for name, kind in FORMATS.items())
        return io.Schema(
            node_id="M3DDM_SaveVideo",
            display_name="M3DDM Save Video",
            category=CATEGORY,
            description="Saves a video as H.264, HEVC, ProRes 422 HQ, lossless FFV1 or PNG pictures, with 8 or 10 bits "
            "and the colours of its source, HDR too. Frames are written as they are made: memory does not grow with "
            "the length.",
            search_aliases=["export video", "prores", "hevc", "h265", "ffv1", "png sequence", "10 bit", "hdr", "m3ddm"],
            is_output_node=True,
            inputs=[
                io.Video.Input("video", tooltip="From M3DDM Outpaint Video, or any other video."),
                io.String.Input(
                    "filename_prefix",
                    default="video/M3DDM",
                    tooltip="Where in ComfyUI's output folder, and how the name begins. May hold %date:yyyy-MM-dd% and "
                    "the like, as in Save Video.",
                ),
                io.Combo.Input("format", options=list(FORMATS), default="h264", tooltip=f"{kinds}."),
                io.Float.Input(
                    "quality",
                    default=18.0,
                    min=float(BEST_QUALITY),
                    max=float(WORST_QUALITY),
                    step=1.0,
                    extra_dict={SHOWN_WHEN: {"format": RATED}},
                    tooltip="Of h264 and hevc: their CRF. Lower is better and larger. The other formats keep all they "
                    "can.",
                ),
                io.Combo.Input(
                    "bit_depth",
                    options=DEPTHS,
                    default=LIKE_SOURCE,
                    extra_dict={SHOWN_WHEN: {"format": CHOICE_OF_BITS}},
                    tooltip="Bits of a colour. 10 shows no steps in skies and HDR needs it; not every player takes it "
                    "in h264. prores always has 10.",
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            outputs=[io.Video.Output(display_name="video", tooltip="The video, as it came.")],
        )

    @classmethod
    def validate_inputs(cls, format: str | None = None, bit_depth: str | None = None) -> bool | str:
        """What cannot be written is reported before anything runs. A value that comes over a wire is None here."""
        if format is None or bit_depth is None:
            return True
        try:
            _encoding(format, None, bit_depth).require_encoder()
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls, video: Input.Video, filename_prefix: str, format: str, quality: float, bit_depth: str
    ) -> io.NodeOutput:
        encoding = _encoding(format, quality, bit_depth)
        source = open_source(video, 0, looking_through())
        encoding.require_sides(source.info.size)
        folder, name, number, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory(), *source.info.size
        )
        file = f"{name}_{number:05}_{encoding.kind.suffix}"
        # What is fetched from a server is a file: that of a folder which tells of the others.
        where = (file, subfolder) if encoding.kind.suffix else (ABOUT, f"{subfolder}/{file}".lstrip("/"))
        saved = ui.SavedResult(*where, io.FolderType.output)
        shown, beside = saved, None
        if format != IN_BROWSERS:
            shown = ui.SavedResult(f"m3ddm_{uuid.uuid4().hex}.mp4", "", io.FolderType.temp)
            beside = _in_temporary_folder(shown.filename)
        save_video(os.path.join(folder, file), source, source.info, encoding, cls._metadata(), beside)
        # Who drives the server from outside is told of the file, not of its copy.
        return io.NodeOutput(video, ui={**ui.PreviewVideo([shown]).as_dict(), "files": [saved]})

    @classmethod
    def _metadata(cls) -> dict[str, Any]:
        """The graph, so that the file can be dropped into ComfyUI; nothing where it was started without that."""
        if args.disable_metadata:
            return {}
        prompt = {} if cls.hidden.prompt is None else {"prompt": cls.hidden.prompt}
        return {**(cls.hidden.extra_pnginfo or {}), **prompt}


def _encoding(format: str, quality: float | None, bit_depth: str) -> Encoding:
    if bit_depth not in DEPTHS:
        raise ValueError(f"got the bit depth {quoted(bit_depth)}, expected one of {', '.join(DEPTHS)}")
    kind = Encoding(format).kind
    has_choice = kind.name in CHOICE_OF_BITS and bit_depth != LIKE_SOURCE
    return Encoding(format, int(bit_depth) if has_choice else None, quality if kind.rated else None)


def _in_temporary_folder(name: str) -> Path:
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name
