"""A video in, an outpainted video out, of any length: of all its frames only latents and recipes are held."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import Input, io

from ..m3ddm_core.canvas.limits import MOST_CANVAS
from ..m3ddm_core.canvas.placement import LATENT_SCALE
from ..m3ddm_core.fleet.on_ray import Where
from ..m3ddm_core.outpaint.time_left import spoken
from ..m3ddm_core.pipeline import Options, outpaint_source
from ..m3ddm_core.sampling.settings import CheckpointSettings, Settings
from ..m3ddm_core.seen.recipe import USES
from ..m3ddm_core.video.board import read_board
from ..m3ddm_core.video.progress import scan_report
from .host.board import board_input, check_board, find_guide, guide_stamps
from .host.fleet import fleet_input, sampled_by
from .host.inputs import (
    SHOWN_WHEN,
    check_target,
    composite_inputs,
    cut_inputs,
    framing_of,
    placement_inputs,
    result_size_inputs,
    seed_input,
    source_mask_input,
    warn_of_nothing,
)
from .host.journal import open_journal
from .host.model import require_m3ddm
from .host.models import comfy_models
from .host.progress import progress_bar, video_report
from .host.sockets import CATEGORY, SamplingSocket
from .host.video import StreamedVideo, open_source


class OutpaintVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_OutpaintVideo",
            display_name="M3DDM Outpaint Video",
            category=CATEGORY,
            essentials_category="Video Tools",
            description="Outpaints a video of any length from file to file, scene by scene. Frames are read when they "
            "are needed and finished while the result is saved, so a long video takes hardly more memory than a short "
            "one.",
            search_aliases=[
                *("video outpainting", "outpaint video", "video outpaint", "m3ddm", "long video", "scene cuts"),
                *("reframe", "reframe video", "widen", "widen video", "extend video", "expand video", "uncrop video"),
                *("phone to wide", "vertical to horizontal", "扩图", "外扩", "扩展视频", "视频外扩", "视频扩图"),
            ],
            inputs=[
                io.Model.Input("model", tooltip="From M3DDM Load Checkpoint, with or without patches such as LoRA."),
                io.Vae.Input("vae", tooltip="A VAE of Stable Diffusion 1.x."),
                io.Video.Input(
                    "video", tooltip="The source: Load Video, Create Video, or another M3DDM Outpaint Video."
                ),
                *placement_inputs(
                    io.Int.Input(
                        "canvas_size",
                        default=0,
                        min=0,
                        max=MOST_CANVAS,
                        step=LATENT_SCALE,
                        advanced=True,
                        tooltip="Longest side of the canvas in pixels, a multiple of 8. 0: the size that the "
                        "checkpoint's file names, or 256 if it names none, as with the published weights. A larger "
                        "canvas is sharper and slower, and the picture on it holds together less well. Never larger "
                        "than the target.",
                    )
                ),
                seed_input(),
                *cut_inputs(
                    "Finds the cuts and outpaints each scene as a video of its own, so that nothing of one scene shows "
                    "in another. Off treats the video as one scene."
                ),
                *composite_inputs(advanced=True),
                SamplingSocket.Input(
                    "settings",
                    optional=True,
                    tooltip="From M3DDM Sampling Settings. Without it, the settings that the checkpoint's file "
                    "recommends.",
                ),
                io.Int.Input(
                    "second_pass",
                    default=0,
                    min=0,
                    max=MOST_CANVAS,
                    step=LATENT_SCALE,
                    optional=True,
                    advanced=True,
                    tooltip="Samples the finished video once more, on a larger canvas of the target's shape, for a "
                    "sharper border. This is the longest side of that canvas in pixels: take about twice canvas_size. "
                    "Twice the size is four times the work or more. 0: no second pass.",
                ),
                io.Float.Input(
                    "second_denoise",
                    default=0.4,
                    min=0.05,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    advanced=True,
                    extra_dict={SHOWN_WHEN: {"second_pass": True}},
                    tooltip="How much of the border the second pass paints anew: at 0.2 little changes, from 0.6 on "
                    "frames begin to differ. Has no effect without a second pass.",
                ),
                source_mask_input(),
                io.Combo.Input(
                    "seen",
                    options=list(USES),
                    default="both",
                    optional=True,
                    advanced=True,
                    tooltip="Where the camera moves, much of the border is in other frames of the scene. layer lays "
                    "those pixels, sharp and at full size, over what was generated, wherever they are certain; start "
                    "lets sampling begin from them; both does both; known does both and tells the network that they "
                    "are known, an experiment: the published weights were trained without. A still camera shows "
                    "nothing, and nothing changes. Beside a source_mask nothing of this is done.",
                ),
                *result_size_inputs(),
                fleet_input(),
                board_input(
                    "board",
                    "Decisions for single scenes, as JSON: from M3DDM Scene Board, or your own. A scene named by its "
                    "first frame has its own anchor or offset, seed and guides, or is left as it is. Of a run with a "
                    "changed board only the scenes that changed are sampled. Empty: all scenes alike.",
                ),
            ],
            outputs=[
                io.Video.Output(
                    display_name="video",
                    tooltip="The outpainted video, with the source's sound and times. It is finished frame by frame in "
                    "Save Video; Get Video Components puts all frames in memory.",
                )
            ],
        )

    @classmethod
    def validate_inputs(
        cls, target: str | None = None, custom_ratio: str | None = None, board: str | None = None
    ) -> bool | str:
        """A wrong ratio or board is reported before anything runs. A value that comes over a wire is None here."""
        checked = check_target(target, custom_ratio)
        return check_board(board) if checked is True else checked

    @classmethod
    def fingerprint_inputs(cls, board: str | None = None, **others: Any) -> list[tuple[str, int, int]]:
        """Guides with other contents are others."""
        return guide_stamps(board)

    @classmethod
    def execute(
        cls,
        model: Any,
        vae: Any,
        video: Input.Video,
        seed: int,
        scene_cuts: bool,
        cut_threshold: float,
        first_frames: int,
        settings: Settings | None = None,
        second_pass: int = 0,
        second_denoise: float = 0.4,
        source_mask: torch.Tensor | None = None,
        seen: str = "off",  # Prompts saved before there was such an input go on meaning what they meant.
        fleet: Where | None = None,
        board: str = "",
        feather: int = 8,
        colour_match: str = "none",
        resampling: str = "lanczos",
        blend: str = "feather",
        **framing: Any,
    ) -> io.NodeOutput:
        require_m3ddm(model)
        asked = Options(
            framing=framing_of(**framing),
            settings=settings or CheckpointSettings(),
            seed=seed,
            cut_threshold=cut_threshold if scene_cuts else None,
            second_pass=second_pass,
            second_denoise=second_denoise,
            blending={"feather": feather, "colour_match": colour_match, "resampling": resampling, "blend": blend},
            seen=seen,
            board=read_board(board, find_guide),
        )
        with (
            sampled_by(fleet, model, comfy_models(model, vae)) as models,
            open_journal("M3DDM video") as journal,
            progress_bar(model, "M3DDM video", "tick") as bar,
        ):
            begun, report = time.monotonic(), video_report(bar)
            finished = outpaint_source(
                open_source(video, first_frames, scan_report(report)),
                models,
                replace(asked, journal=journal),
                first_frames=first_frames,
                source_mask=source_mask,
                report=report,
            )
            if all(scene.is_full for scene in finished.scenes):
                warn_of_nothing("M3DDM Outpaint Video", finished.source.info.size, source_mask is not None)
            count = len(finished.info.timeline)
            earlier = f", {journal.taken} clips made by an earlier run" if journal and journal.taken else ""
            bar.text.end(f"{count} frames in {spoken(time.monotonic() - begun)}{earlier}, finished while saving")
        return io.NodeOutput(StreamedVideo(finished))
