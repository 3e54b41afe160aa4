"""A video in, an outpainted video out, of any length: nothing but latents is held for all of its frames."""

from __future__ import annotations

import logging
from typing import Any

import comfy.model_management
from comfy_api.latest import Input, io
from torch import Tensor

from ..m3ddm_core.geometry import Placement
from ..m3ddm_core.outpaint import Progress, outpaint_video
from ..m3ddm_core.plan import CLIP_LENGTH, plan_video
from ..m3ddm_core.state import OutpaintState
from ..m3ddm_core.video.cuts import find_cuts, scene_lengths
from ..m3ddm_core.video.finished import FinishedVideo
from ..m3ddm_core.video.scenes import Scene, outpaint_scenes
from ..m3ddm_core.video.source import OnFrame, Source
from .guider import clip_sampler
from .inputs import check_target, composite_inputs, place_source, placement_inputs, seed_input
from .memory import clips_at_once
from .model import require_m3ddm
from .progress import Show, progress_bar
from .types import CATEGORY, Sampling, SamplingSocket
from .vae import decoder, warning_encoder
from .video import OutpaintedVideo, open_source

TICKS = 10_000
SCAN_TICKS = 500
"""Of the bar's ticks, those for looking through the video, when it is not yet known how much else there is to do."""


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
        **options: Any,
    ) -> io.NodeOutput:
        require_m3ddm(model)
        where = {entry.id: options.pop(entry.id) for entry in placement_inputs()}
        with progress_bar(model, "M3DDM video", "tick") as show:
            source = open_source(video, where["first_frames"], scan_report(show))
            placement = place_source(source.info.size, len(source.info.timeline), **where)
            require_writable(placement)
            cuts = find_cuts(source.thumbnails, cut_threshold) if scene_cuts else []
            logging.info("M3DDM Outpaint Video: %d frames, scenes begin at %s.", placement.frames, [0, *cuts])
            scenes = sample_scenes(model, vae, source, placement, cuts, seed, settings or Sampling(), show)
        return io.NodeOutput(OutpaintedVideo(FinishedVideo(source, scenes, decoder(vae), options)))


def sample_scenes(
    model: Any,
    vae: Any,
    source: Source,
    placement: Placement,
    cuts: list[int],
    seed: int,
    settings: Sampling,
    show: Show,
) -> list[Scene]:
    """Encode and sample one scene after the other."""
    lengths = scene_lengths(placement.frames, cuts)
    work = Work(lengths, settings.steps, show)
    sample = clip_sampler(model, settings, seed)

    def outpaint(number: int, state: OutpaintState) -> OutpaintState:
        return outpaint_video(
            state,
            sample,
            seed=seed,
            clips_per_batch=clips_at_once(model, settings, *state.start.shape[-2:]),
            guide_noise=settings.guide_noise,
            on_progress=lambda progress: work.sampled(number, progress),
        )

    fps = float(source.info.timeline.rate)
    return outpaint_scenes(
        source.frames(), lengths, placement, warning_encoder(vae), outpaint, fps, on_frame=work.encoded
    )


class Work:
    """How much of the encoding and sampling of all scenes is done: in frames, each counted once for the VAE and once
    for every step of a clip that it is in."""

    def __init__(self, lengths: list[int], steps: int, show: Show):
        clips = [sum(len(wave) for stage in plan_video(length) for wave in stage) for length in lengths]
        self.sampling = [CLIP_LENGTH * steps * count for count in clips]
        self.total = sum(lengths) + sum(self.sampling)
        self.done_encoding = self.done_sampling = 0
        self.show = show

    def encoded(self) -> None:
        """Another frame went through the VAE."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        self.done_encoding += 1
        self._tell(None)

    def sampled(self, scene: int, progress: Progress) -> None:
        """A step of some clips of a scene was made."""
        part = self.sampling[scene] * progress.done // progress.total
        self.done_sampling = sum(self.sampling[:scene]) + part
        self._tell(progress.denoised[0])

    def _tell(self, clip: Tensor | None) -> None:
        done = self.done_encoding + self.done_sampling
        self.show(SCAN_TICKS + (TICKS - SCAN_TICKS) * done // self.total, TICKS, clip)


def scan_report(show: Show) -> OnFrame:
    """Make what is told of each frame when a file is looked through."""

    def report(done: int, expected: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        show(SCAN_TICKS * done // expected, TICKS, None)

    return report


def require_writable(placement: Placement) -> None:
    """Raise ``ValueError`` for sizes that no encoder takes, before hours are spent on them."""
    width, height = placement.target
    if width % 2 or height % 2:
        raise ValueError(
            f"got a target of {width}x{height}, expected even sides, which H.264 asks for: set size_multiple to 2 or "
            "another even number"
        )
    if placement.is_full:
        logging.warning(
            "M3DDM Outpaint Video: nothing to outpaint, the source of %dx%d has the target's size already. The frames "
            "pass through unchanged; choose another target.",
            width,
            height,
        )
