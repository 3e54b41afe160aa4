"""The way of a video through the house, from frames to frames and from file to file.

    frames -> canvas and mask -> state (VAE) -> keyframes -> interpolation -> infill -> frames (VAE) -> composite

Whoever outpaints comes through here: the command line, the nodes, the measurements, the previews in training. The
networks are called through `Models`, so that a host can bring its own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count as counting
from typing import Any

import torch
from torch import Tensor

from .canvas.build import make_canvas, make_start_canvas
from .canvas.framing import Framing
from .canvas.limits import require_memory_to_hold, require_memory_to_write
from .canvas.placement import Placement, check_canvas_size, with_canvas
from .canvas.source_mask import check_mask, scale_mask
from .composite.compositor import Compositor
from .composite.layers import composite_layers
from .frames import OF_THE_VAE, require_finite
from .journal.clips import clips_in
from .journal.looks import looks_in
from .journal.pieces import pieces_in
from .journal.store import Journal
from .models import Models
from .outpaint.encode import GLOBAL_FRAMES, add_guide_frames, encode_context, encode_global_frames
from .outpaint.plan import INFILL_STRIDE
from .outpaint.side_by_side import Later, SideBySide
from .outpaint.stages import Progress, outpaint_video
from .outpaint.state import OutpaintState
from .sampling.settings import CheckpointSettings, SamplingSettings, Settings
from .sampling.wave import WaveSampler
from .seen.recipe import Seen, refuse_mask
from .video.bars import find_bars, hint_of_bars
from .video.board import Board
from .video.crop import Crop, CroppedSource
from .video.cuts import CUT_THRESHOLD, find_cuts, scene_lengths
from .video.decided import decided
from .video.file import FileSource
from .video.finished import FinishedVideo
from .video.formats import Encoding
from .video.kept import kept_scenes
from .video.place import check_files
from .video.progress import SCAN_SHARE, Pass, Report, Standing, Work, frame_report, plan_work, scan_report
from .video.refine import refine_scenes
from .video.scene_keys import Asked, SceneKeys, scene_keys
from .video.scenes import OutpaintScene, outpaint_scenes, split_scenes
from .video.seen import look_at_source, show_frames, show_from_source, uses_beside, uses_of
from .video.source import Source, scaled_source
from .video.steady import SteadyFile
from .video.writer import write_shots

FIND_BARS = "bars"
"""In place of a crop: to take off the black bars that are found."""


@dataclass(frozen=True)
class Options:
    """What is asked of a video; as the checkpoint has it where nothing else is said.

    ``seed`` draws the noise, the same for every clip. ``cut_threshold``: see `find_cuts`; None takes the video as one
    scene. ``second_pass``: longest side in pixels of the canvas of a second pass, 0 for none, and ``second_denoise``
    how much it paints anew. ``blending``: the keywords of `Compositor`. ``seen``: what the border's pixels that
    other frames have filmed are used for, one of `USES`; beside a source mask for nothing. ``journal``: where finished
    clips and scenes are kept, and taken up by a run after this one; the result does not depend on it. ``board``: what
    is decided for single scenes, see `read_board`. From file to file: ``encoding``, the kind that is written; ``crop``,
    what is taken off the source first, or `FIND_BARS`; and ``fields``, whether its interlaced frames are made whole,
    one of `FIELDS`.
    """

    framing: Framing = field(default_factory=Framing)
    settings: Settings = field(default_factory=CheckpointSettings)
    seed: int = 0
    cut_threshold: float | None = CUT_THRESHOLD
    second_pass: int = 0
    second_denoise: float = 0.4
    blending: dict[str, Any] = field(default_factory=dict)
    seen: str = "off"
    journal: Journal | None = None
    board: Board = field(default_factory=Board)
    encoding: Encoding = field(default_factory=Encoding)
    crop: Crop | str | None = None
    fields: str = "auto"


SampleState = Callable[[OutpaintState, "Callable[[Progress], None] | None"], OutpaintState]
"""``sample(state, on_progress)`` runs all levels of a state."""


def state_sampler(
    models: Models,
    settings: SamplingSettings,
    seed: int,
    strides: Sequence[int] | None = None,
    journal: Journal | None = None,
    left: Callable[[], float] = lambda: 0.0,
) -> SampleState:
    """Make what samples states, at the levels of their length unless ``strides`` are given; ``left``: how much of the
    video is still to be done, for samplers that have several.

    Raises ValueError for settings that cannot be, before anything is encoded.
    """
    sample_clips = models.sampler(settings, seed)
    if isinstance(sample_clips, WaveSampler):
        sample_clips = sample_clips.towards(left)
    kept = clips_in(journal, lambda: models.recipe(settings, seed))

    def sample(state: OutpaintState, on_progress: Callable[[Progress], None] | None) -> OutpaintState:
        return outpaint_video(
            state,
            sample_clips,
            seed=seed,
            strides=strides,
            clips_per_batch=models.clips_at_once(settings, *state.start.shape[-2:]),
            guide_noise=settings.guide_noise,
            journal=kept,
            on_progress=on_progress,
        )

    return sample


@dataclass(frozen=True, eq=False)
class Guides:
    """Whole frames of the user's own: ``images`` (m, h, w, 3), and their ``numbers``, as in "0, 30-32, -1"."""

    images: Tensor
    numbers: str


@torch.no_grad()
def outpaint_frames(
    frames: Tensor,
    models: Models,
    placement: Placement,
    fps: float,
    *,
    fill: str = "smooth",
    settings: Settings | None = None,
    seed: int = 0,
    source_mask: Tensor | None = None,
    pictures: Tensor | None = None,
    guides: Guides | None = None,
    global_frames: int = GLOBAL_FRAMES,
    strides: Sequence[int] | None = None,
    blending: dict[str, Any] | None = None,
    seen: Seen | None = None,
    seen_use: str = "both",
    on_progress: Callable[[Progress], None] | None = None,
) -> Tensor:
    """Outpaint frames (n, h, w, 3), float, 0..1, in memory, as one scene; returns them in the placement's target size.

    fill: of the canvas, a key of `FILL_METHODS`.
    settings: None takes those of the checkpoint.
    source_mask: (1 or n, h, w), float: 1 where the source's own pixels are to be made anew too.
    pictures: (n, h, w, 3), float, 0..1, in the target's shape: a first result to start from, in place of a fill.
    strides: of the levels; by default those of the number of frames.
    seen: what other frames have filmed of the border, found with `look_around`; seen_use: what for, one of `USES`.

    Raises ValueError for what does not belong together or fits no memory, `NonFiniteLatents` where sampling fails
    and `NonFiniteFrames` where decoding does.
    """
    require_memory_to_hold(len(frames), placement.target)
    sample = state_sampler(models, (settings or CheckpointSettings()).beside(models.advice.sampling), seed, strides)
    uses = uses_of(seen_use if seen is not None else "off")
    refuse_mask(seen is not None and source_mask is not None)
    if pictures is None:
        shown = show_frames(seen, frames, known=uses.known) if uses.start else None
        canvas, mask = make_canvas(frames, placement, source_mask, fill=fill, shown=shown)
    else:
        canvas, mask = make_start_canvas(frames, pictures, placement, source_mask, fill=fill)
    shown = encode_global_frames(frames, models.encode, global_frames, source_mask)
    state = encode_context(canvas, mask, shown, models.encode, fps, placement, fill)
    if guides is not None:
        state = add_guide_frames(state, guides.images, guides.numbers, models.encode)
    state = sample(state, on_progress)
    generated, layer = models.decode(state.latents), seen if uses.layer else None
    require_finite(generated, 0, "from the VAE", OF_THE_VAE)
    return composite_layers(frames, generated, placement, layer, source_mask=source_mask, **(blending or {}))[0]


@torch.no_grad()
def outpaint_source(
    source: Source,
    models: Models,
    options: Options,
    *,
    first_frames: int = 0,
    source_mask: Tensor | None = None,
    report: Report = lambda standing: None,
) -> FinishedVideo:
    """Outpaint a video scene by scene, holding nothing of all its frames but latents, and where
    seen pixels lie.

    What comes back makes its frames when they are asked for. source_mask: (1 or n, h, w), float: 1 where the source's
    own pixels are to be made anew too. ``first_frames``: how many the source was cut to, 0 if it was not; a mask may be
    that of the whole. ``report`` hears how far the work has come.

    Raises ValueError for what does not fit the video, before anything is sampled.
    """
    count, fill, size = len(source.info.timeline), options.framing.fill, source.info.size
    settings = options.settings.beside(models.advice.sampling)
    framing = options.framing.for_canvas(models.advice.canvas_size)
    placement = framing.place(size)
    require_writable(placement, count, options.encoding)
    uses = uses_beside(options.seen, source_mask)
    mask = check_mask(source_mask, size, count, None if count == first_frames else count)
    mask, source = scale_mask(mask, placement.source), scaled_source(source, placement.source)
    cuts = _cuts_of(source, options, shortened=count == first_frames)
    logging.info("M3DDM: %d frames, scenes begin at %s.", count, [0, *cuts])
    if mask is None and hint_of_bars(source.thumbnails):
        logging.info("M3DDM: the source seems to have black bars: --crop-bars, or M3DDM Crop Video, takes them off.")
    decisions = options.board.decisions(cuts, count, shortened=count == first_frames)
    scenes = decided(split_scenes(placement, scene_lengths(count, cuts), mask), decisions, framing, size)
    Compositor(placement, **options.blending)  # Raises here, not when all is sampled.
    passes = _passes(placement, options.second_pass)
    seeds = [options.seed if decision.seed is None else decision.seed for decision in decisions]
    refining = replace(settings, denoise=options.second_denoise)

    def make_keys() -> Sequence[SceneKeys] | None:
        recipes = [_recipes(models, each, seeds) for each in (settings, refining)[: len(passes)]]
        asked = Asked(models.vae_recipe(), fill, uses, options.blending, recipes, options.second_pass)
        return scene_keys(source, scenes, asked)

    kept = kept_scenes(options.journal, make_keys, passes)
    begun = kept.take_up(scenes)
    first, *second = plan_work(begun, settings.steps, passes, report)
    encode, fps = models.encode, float(source.info.timeline.rate)
    sample = _scene_sampler(models, settings, seeds, options, first)
    refiners = [_scene_sampler(models, refining, seeds, options, work) for work in second]
    at_once = models.scenes_at_once
    seen = look_at_source(source, scenes, report, looks_in(options.journal)) if any(uses) else None
    show = show_from_source(source, seen, known=uses.known) if uses.start else None
    layer = seen if uses.layer else None
    with SideBySide(at_once) as side:
        start, on_frame = _in_threads(side, sample, first, partial(kept.put, 0))
        made = outpaint_scenes(source.frames(), begun, encode, start, fps, fill=fill, show=show, on_frame=on_frame)
        side.finish()
    finished = FinishedVideo(source, made, models.decode, options.blending, seen=layer, keys=kept.finished)
    for work, sample in zip(second, refiners, strict=True):
        with SideBySide(at_once) as side:
            start, on_frame = _in_threads(side, sample, work, partial(kept.put, 1))
            made = refine_scenes(finished, options.second_pass, encode, start, fill=fill, on_frame=on_frame)
            side.finish()
        finished = FinishedVideo(source, made, models.decode, options.blending, seen=layer, keys=kept.finished)
    return finished


def outpaint_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    models: Models,
    options: Options | None = None,
    *,
    first_frames: int = 0,
    source_mask: Tensor | None = None,
    overwrite: bool = False,
    report: Report = lambda standing: None,
) -> FinishedVideo:
    """Outpaint a video file into another, with its sound and times; ``first_frames`` 0 takes all of it.

    ``target`` is of the kind that ``options.encoding`` says, and appears when it is whole. source_mask: of the source
    before anything is taken off it. ``report`` hears of looking through the source and sampling, and then, from 0
    again, of writing.

    Raises ValueError for what cannot be used, and OSError for what cannot be read or written.
    """
    options = options or Options()
    check_files(source, target, options.encoding, overwrite=overwrite)
    video: Source = SteadyFile(str(source), most=first_frames, fields=options.fields, on_frame=scan_report(report))
    crop = _find_bars(video, report) if options.crop == FIND_BARS else options.crop
    if crop:
        logging.info("M3DDM: taken off the source: %s.", crop)
        video, source_mask = CroppedSource(video, crop), crop.of_mask(source_mask, video.info.size)
    finished = outpaint_source(
        video, models, options, first_frames=first_frames, source_mask=source_mask, report=report
    )
    write_shots(
        *(target, finished.shots(), finished.info, finished.sound),
        encoding=options.encoding,
        pieces=pieces_in(options.journal),
        on_frame=frame_report(report, "finishing", len(finished.info.timeline)),
    )
    return finished


def _find_bars(source: Source, report: Report) -> Crop:
    numbers = counting(1)
    bars = find_bars(source, lambda: report(Standing(SCAN_SHARE, f"looking for black bars, frame {next(numbers)}")))
    logging.info("M3DDM: %s.", bars)
    return bars.crop


def read_mask(path: str | os.PathLike[str]) -> Tensor:
    """Read a mask (n, h, w), float32, 0..1, from a picture or a video: how bright each pixel is."""
    return torch.stack([frame.mean(-1) for frame in FileSource(str(path)).frames()])


def _passes(placement: Placement, second_pass: int) -> list[Pass]:
    """The first pass with all its levels, and the second, which the first result holds together, with the infill."""
    first = Pass(placement.canvas, None)
    if not second_pass:
        return [first]
    check_canvas_size(second_pass, "second_pass")
    canvas = with_canvas(placement, second_pass, "target").canvas
    if max(canvas) <= max(placement.canvas):
        logging.warning(
            "M3DDM: the second pass has a canvas of %dx%d, no larger than the first, %dx%d, and will not make the "
            "border sharper; a canvas is never larger than the target.",
            *canvas,
            *placement.canvas,
        )
    return [first, Pass(canvas, (INFILL_STRIDE,))]


def _cuts_of(source: Source, options: Options, *, shortened: bool) -> list[int]:
    """Where scenes begin: as the board says, else as they are found, if they are to be looked for."""
    known = options.board.cuts_before(len(source.info.timeline), shortened=shortened)
    if known is not None:
        return known
    return [] if options.cut_threshold is None else find_cuts(source.thumbnails, options.cut_threshold)


SampleScene = Callable[[int, OutpaintState, Later], Tensor]
"""``sample(number, state, later)``: the latents of a scene; its progress is told `Later`."""


def _scene_sampler(
    models: Models, settings: SamplingSettings, seeds: Sequence[int], options: Options, work: Work
) -> SampleScene:
    """Make what samples the scene of a number, each from its own seed."""
    samplers = {
        seed: state_sampler(models, settings, seed, work.strides, options.journal, lambda: work.left)
        for seed in dict.fromkeys(seeds)
    }

    def sample_scene(number: int, state: OutpaintState, later: Later) -> Tensor:
        sample = samplers[seeds[number]]
        return sample(state, lambda progress: later(work.sampled, number, state, progress)).latents

    return sample_scene


def _recipes(models: Models, settings: SamplingSettings, seeds: Sequence[int]) -> list[str]:
    """What decides the sampling of each scene. Raises `Unidentified`."""
    made_by = {seed: models.recipe(settings, seed) for seed in dict.fromkeys(seeds)}
    return [made_by[seed] for seed in seeds]


def _in_threads(
    side: SideBySide, sample: SampleScene, work: Work, keep: Callable[[int, Tensor], None]
) -> tuple[OutpaintScene, Callable[[], None]]:
    """Make what starts the sampling of scenes side by side, and what is called for each frame of those that come.
    ``keep(number, latents)`` has the latents of each that is finished."""

    def start(number: int, state: OutpaintState, then: Callable[[Tensor], None]) -> None:
        def finish(latents: Tensor) -> None:
            # As they come back from the journal: how they lie in memory decides how a VAE rounds.
            latents = latents.contiguous()
            keep(number, latents)
            then(latents)

        side.start(lambda later: sample(number, state, later), finish)

    def on_frame() -> None:
        side.listen()
        work.encoded()

    return start, on_frame


def require_writable(placement: Placement, frames: int, encoding: Encoding) -> None:
    """Raise ValueError for sizes that the encoder does not take, or this machine's memory, before hours are spent."""
    encoding.require_sides(placement.target)
    require_memory_to_write(frames, placement.target)
