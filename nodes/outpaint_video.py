"""A video in, an outpainted video out, of any length: nothing but latents is held for all of its frames."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import Input, io

from ..m3ddm_core.canvas.placement import Placement, with_canvas
from ..m3ddm_core.canvas.source_mask import check_mask
from ..m3ddm_core.outpaint.plan import INFILL_STRIDE
from ..m3ddm_core.outpaint.stages import outpaint_video
from ..m3ddm_core.outpaint.state import OutpaintState
from ..m3ddm_core.outpaint.time_left import spoken
from ..m3ddm_core.video.cuts import find_cuts, scene_lengths
from ..m3ddm_core.video.finished import FinishedVideo
from ..m3ddm_core.video.refine import refine_scenes
from ..m3ddm_core.video.scenes import outpaint_scenes, split_scenes
from .host.guider import clip_sampler
from .host.inputs import (
    check_target,
    composite_inputs,
    place_source,
    placement_inputs,
    seed_input,
    source_mask_input,
    warn_of_nothing,
)
from .host.memory import clips_at_once
from .host.model import require_m3ddm
from .host.progress import progress_bar
from .host.sockets import CATEGORY, Sampling, SamplingSocket
from .host.vae import decoder, warning_encoder
from .host.video import OutpaintedVideo, open_source
from .host.video_progress import Pass, Work, plan_work, scan_report


class OutpaintVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_OutpaintVideo",
            display_name="M3DDM Outpaint Video",
            category=CATEGORY,
            description="Outpaints a video of any length from file to file, scene by scene. Frames are read when they "
            "are needed and finished while the result is saved, so a long video takes no more memory than a short one.",
            search_aliases=["outpaint video", "video outpainting", "long video", "scene cuts", "uncrop video", "m3ddm"],
            inputs=[
                io.Model.Input("model", tooltip="From M3DDM Load Checkpoint, with or without patches such as LoRA."),
                io.Vae.Input("vae", tooltip="A VAE of Stable Diffusion 1.x."),
                io.Video.Input(
                    "video", tooltip="The source: Load Video, Create Video, or another M3DDM Outpaint Video."
                ),
                *placement_inputs(),
                seed_input(),
                io.Boolean.Input(
                    "scene_cuts",
                    default=True,
                    tooltip="Finds the cuts and outpaints each scene as a video of its own, so that nothing of one "
                    "scene shows in another. Off takes the video as one scene.",
                ),
                io.Float.Input(
                    "cut_threshold",
                    default=0.25,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How much two frames must differ, beyond the frames around them, to count as a cut. Lower "
                    "it where cuts are missed, raise it where there are too many.",
                ),
                *composite_inputs(),
                SamplingSocket.Input(
                    "settings",
                    optional=True,
                    tooltip="From M3DDM Sampling Settings; without it, the release's settings.",
                ),
                io.Int.Input(
                    "second_pass",
                    default=0,
                    min=0,
                    max=2048,
                    step=8,
                    optional=True,
                    tooltip="Longest side in pixels of a larger canvas, of the target's shape, on which the finished "
                    "video is sampled once more for a sharper border: about twice canvas_size. Twice the size is four "
                    "times the work or more. 0: no second pass.",
                ),
                io.Float.Input(
                    "second_denoise",
                    default=0.4,
                    min=0.05,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="How much of the border the second pass paints anew: at 0.2 little changes, from 0.6 on "
                    "frames begin to differ. Has no effect without a second pass.",
                ),
                source_mask_input(),
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
    def validate_inputs(cls, target: str | None = None, custom_ratio: str | None = None) -> bool | str:
        """A wrong ratio is told before anything runs. A value that comes over a wire is None here."""
        return check_target(target, custom_ratio)

    @classmethod
    def execute(
        cls,
        model: Any,
        vae: Any,
        video: Input.Video,
        seed: int,
        scene_cuts: bool,
        cut_threshold: float,
        settings: Sampling | None = None,
        second_pass: int = 0,
        second_denoise: float = 0.4,
        source_mask: torch.Tensor | None = None,
        **options: Any,
    ) -> io.NodeOutput:
        require_m3ddm(model)
        where = {entry.id: options.pop(entry.id) for entry in placement_inputs()}
        settings = settings or Sampling()
        with progress_bar(model, "M3DDM video", "tick") as bar:
            begun = time.monotonic()
            source = open_source(video, where["first_frames"], scan_report(bar))
            placement = place_source(source.info.size, len(source.info.timeline), **where)
            require_writable(placement)
            mask = check_source_mask(source_mask, placement, where["first_frames"])
            cuts = find_cuts(source.thumbnails, cut_threshold) if scene_cuts else []
            logging.info("M3DDM Outpaint Video: %d frames, scenes begin at %s.", placement.frames, [0, *cuts])
            scenes = split_scenes(placement, scene_lengths(placement.frames, cuts), mask)
            if all(scene.is_full for scene in scenes):
                warn_of_nothing("M3DDM Outpaint Video", placement.source, mask is not None)
            work = plan_work(scenes, settings.steps, passes(placement, second_pass), bar)
            encode, fps = warning_encoder(vae), float(source.info.timeline.rate)
            sample = scene_sampler(model, seed, settings, work[0])
            scenes = outpaint_scenes(source.frames(), scenes, encode, sample, fps, on_frame=work[0].encoded)
            finished = FinishedVideo(source, scenes, decoder(vae), options)
            if second_pass:
                sample = scene_sampler(model, seed, replace(settings, denoise=second_denoise), work[1])
                scenes = refine_scenes(finished, second_pass, encode, sample, on_frame=work[1].encoded)
                finished = FinishedVideo(source, scenes, decoder(vae), options)
            bar.text.end(f"{placement.frames} frames in {spoken(time.monotonic() - begun)}, finished while saving")
        return io.NodeOutput(OutpaintedVideo(finished))


def passes(placement: Placement, second_pass: int) -> list[Pass]:
    """The first pass with all its levels, and the second, which the first result holds together, with the infill."""
    first = Pass(placement.canvas, None)
    if not second_pass:
        return [first]
    canvas = with_canvas(placement, second_pass, "target").canvas
    if max(canvas) <= max(placement.canvas):
        logging.warning(
            "M3DDM Outpaint Video: the second pass has a canvas of %dx%d, no larger than the first, %dx%d, and will "
            "not make the border sharper; a canvas is never larger than the target.",
            *canvas,
            *placement.canvas,
        )
    return [first, Pass(canvas, (INFILL_STRIDE,))]


def scene_sampler(
    model: Any, seed: int, settings: Sampling, work: Work
) -> Callable[[int, OutpaintState], OutpaintState]:
    """Make what samples the scene of a number."""
    sample = clip_sampler(model, settings, seed)

    def outpaint(number: int, state: OutpaintState) -> OutpaintState:
        work.bar.look = state.look
        return outpaint_video(
            state,
            sample,
            seed=seed,
            strides=work.strides,
            clips_per_batch=clips_at_once(model, settings, *state.start.shape[-2:]),
            guide_noise=settings.guide_noise,
            on_progress=lambda progress: work.sampled(number, progress),
        )

    return outpaint


def require_writable(placement: Placement) -> None:
    """Raise ``ValueError`` for sizes that no encoder takes, before hours are spent on them."""
    width, height = placement.target
    if width % 2 or height % 2:
        raise ValueError(
            f"got a target of {width}x{height}, expected even sides, which H.264 asks for: set size_multiple to 2 or "
            "another even number"
        )


def check_source_mask(mask: torch.Tensor | None, placement: Placement, first_frames: int) -> torch.Tensor | None:
    """The mask of the frames that are used, (1 or frames, h, w), not copied. Raises ``ValueError`` for another's."""
    # A trial of the first frames does not count those that come after: the mask may be that of the whole video.
    source_frames = None if placement.frames == first_frames else placement.frames
    return check_mask(mask, placement.source, placement.frames, source_frames)
