"""``python -m m3ddm_core evaluate``."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .protocol import Protocol, Source
    from .runner import Instruments

NEEDED = {
    "av": "av",
    "cv2": "opencv-python-headless",
    "diffusers": "diffusers",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "tqdm": "tqdm",
}
"""Modules and the packages they come in; lpips and matplotlib are asked for where they are used."""

HELD_OUT, HELD_OUT_FILM = "held-out", "held-out-film"

EPILOG = """
methods:
  edge                  the pixels at the edge, repeated
  smooth                a smooth fill
  telea                 OpenCV's inpainting, frame by frame
  seen                  what other frames have filmed of the border, where that is certain, and a smooth fill elsewhere;
                        other fills as seen:fill=edge or seen:fill=telea
  vae                   the truth itself through --vae and back: no network on its latents can do better; more VAEs
                        as vae:vae=FILE,name=...
  m3ddm                 this model; needs --checkpoint and --vae
  m3ddm:steps=10,global_scale=1,strides=5-3-1,name=quick
                        the same with settings of its own: checkpoint, vae, sampler, scheduler, steps,
                        context_scale, global_scale, guidance_start, guidance_end, unconditional_every, denoise,
                        guide_noise, strides, seed, global_frames, guides (whole frames, as in "0 -1"), fill,
                        precision (fp32, fp16, bf16), clips_per_batch, feather (0), colour_match (none, linear,
                        steady), blend (feather, gradient), seen (off, start, layer, both), name
  m3ddm:preset=fast     several settings at once, as in ComfyUI: reference, balanced, fast; others may follow

metrics, of the whole frame, of the filled area and of parts of it (a region's distances are taken over it alone):
  MSE, PSNR, SSIM       against the truth, pixel by pixel and window by window
  LPIPS                 against the truth, place by place in a network's features
  DISTS                 with --dists: textures and structure, wherever they lie (every eighth frame)
  sharpness             the energy of the gradients over the truth's: less than 1 is blurred
  flicker               the change from frame to frame over the truth's: more than 1 flickers
  seam                  the jump at the edge of the known area over the steps beside it: 1 cannot be seen
  share, far off        of "seen", and of "m3ddm" with seen=...: the share of the border that is certain to be in other
                        frames, and of that what is more than 25 levels of 255 off
  I3D                   with --i3d: each result against its own truth, over windows of 16 frames; good for few clips
  FVD                   with --i3d: between the set of all results and that of all truths; needs hundreds of windows
  The files for --dists and --i3d are made by `python -m m3ddm_core convert-metric`.

Run it again with the same OUT to go on after a stop, or to add clips, methods and metrics: what exists already is
not computed again. To repeat the paper's Table 1, see the end of OUT/table.md.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments. Needs the standard library alone."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        "videos",
        metavar="VIDEOS",
        help=f"a folder of videos, or of folders of frames as DAVIS has them; or {HELD_OUT}: the synthetic clips of "
        f"which it is known what other frames show; or {HELD_OUT_FILM}: the shots of Big Buck Bunny that no training "
        "here sees, 32 frames out of the middle of each (--film)",
    )
    parser.add_argument("out", metavar="OUT", help="the folder to write to")
    parser.add_argument(
        "--method", action="append", help="what to measure, once for each (default: edge, smooth, telea, and m3ddm)"
    )
    parser.add_argument("--checkpoint", default="", help="the model's weights: any file or folder `convert` reads")
    parser.add_argument("--vae", default="", help="a Stable Diffusion 1.x VAE, or a tiny one in TAESD's format")
    parser.add_argument("--film", metavar="FILE", help=f"bbb.mp4, for {HELD_OUT_FILM}: see recipes/fetch_material.py")
    parser.add_argument(
        "--protocol",
        choices=("published",),
        help="size, directions and ratios of the published tables, whose figures the report then sets beside: 256, "
        "horizontal, the mean of 0.25 and 0.66",
    )
    parser.add_argument("--size", type=int, help="side of the square frames (256)")
    parser.add_argument("--direction", nargs="+", help="horizontal, vertical (both)")
    parser.add_argument("--ratio", nargs="+", type=float, help="shares taken away (0.25 0.66)")
    parser.add_argument("--frames", type=int, default=0, help="use at most so many frames of a clip (0: all)")
    parser.add_argument("--clips", type=int, default=0, help="use the first so many clips (0: all)")
    parser.add_argument("--only", metavar="PATTERN", help="use clips with such names, as in '*-fast-*'")
    parser.add_argument("--fit", default="crop", choices=("crop", "stretch"), help="how frames become square (crop)")
    parser.add_argument("--lpips", default="alex", choices=("alex", "vgg", "none"), help="LPIPS's network (alex)")
    parser.add_argument("--lpips-backbone", metavar="FILE", help="its weights (default: torchvision's download)")
    parser.add_argument(
        "--i3d", metavar="FILE", help="I3D's weights (see convert-metric), for FVD and the I3D distance"
    )
    parser.add_argument("--dists", metavar="FILE", help="DISTS's weights (see convert-metric)")
    parser.add_argument("--device", help="cpu, cuda, ... (default: cuda where there is one)")
    parser.add_argument("--no-grids", action="store_true", help="write no side-by-side videos")


def run(arguments: argparse.Namespace) -> None:
    """Measure and write the report. Raises ValueError or OSError for what cannot be used."""
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ValueError(f"evaluate needs packages that are not installed: run `pip install {' '.join(missing)}`")

    import torch
    from tqdm import tqdm

    from .methods import FILLS, MODEL, parse_method
    from .report import write_report
    from .runner import Bench

    arguments.device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    protocol = _protocol(arguments)
    texts = arguments.method or [*FILLS, *([MODEL] if arguments.checkpoint else [])]
    files = {"checkpoint": arguments.checkpoint, "vae": arguments.vae}
    methods = [parse_method(text, files, arguments.device) for text in texts]
    sources = _sources(arguments)
    out = Path(arguments.out)
    bench = Bench(out, protocol, methods, _instruments(arguments), grids=not arguments.no_grids)
    total = len(sources) * len(protocol.cases) * len(methods)
    with tqdm(total=total, unit="result", bar_format="{percentage:3.0f}% {bar} {elapsed}<{remaining} {desc}") as bar:

        def watch(what: str, done: float) -> None:
            bar.set_description_str(what, refresh=False)
            bar.update(done - bar.n)

        results = bench.run(sources, watch)
        watch("done", total)
    settings = {
        "frames": f"{protocol.size}x{protocol.size} ({protocol.fit}), {protocol.frames or 'all'} of each clip",
        "clips": arguments.videos + (f" ({arguments.only})" if arguments.only else ""),
        **{method.label: method.description for method in methods},
        "LPIPS": arguments.lpips,
        "DISTS": "every eighth frame" if arguments.dists else "not measured: no --dists",
        "I3D, FVD": "windows of 16 frames" if arguments.i3d else "not measured: no --i3d",
    }
    for name, why in results.skipped.items():
        print(f"skipped {name}: {why}", file=sys.stderr)
    written = write_report(results, out, settings)
    if (out / "chart.png") not in written:
        print("no chart: matplotlib is not installed", file=sys.stderr)
    print("\n".join(str(path) for path in written))


def _protocol(arguments: argparse.Namespace) -> Protocol:
    """The protocol of a name, or one put together. Raises ValueError for both at once."""
    from .protocol import PROTOCOLS, Protocol

    named = {"size": arguments.size, "directions": arguments.direction, "ratios": arguments.ratio}
    asked = {name: tuple(value) if isinstance(value, list) else value for name, value in named.items() if value}
    asked |= {"frames": arguments.frames, "fit": arguments.fit}
    if arguments.protocol is None:
        return Protocol(**asked)
    if set(asked) & set(named):
        raise ValueError(
            f"got --protocol {arguments.protocol} beside --size, --direction or --ratio, expected one or the other; it "
            "sets all three"
        )
    return replace(PROTOCOLS[arguments.protocol], **asked)


def _sources(arguments: argparse.Namespace) -> list[Source]:
    """The clips that were asked for, of the set or folder that was asked for."""
    found = [source for source in _set(arguments) if fnmatch(source.name, arguments.only or "*")]
    if not found:
        raise ValueError(f"got no clip whose name matches {arguments.only!r}, expected one or more")
    return found[: arguments.clips or None]


def _set(arguments: argparse.Namespace) -> list[Source]:
    from .film import held_out_film_clips
    from .synthetic import held_out_clips
    from .videos import find_clips

    if arguments.videos == HELD_OUT:
        return held_out_clips()
    if arguments.videos == HELD_OUT_FILM:
        if not arguments.film:
            raise ValueError(f"got {HELD_OUT_FILM} without a film, expected --film FILE: see recipes/fetch_material.py")
        return held_out_film_clips(Path(arguments.film))
    return find_clips(arguments.videos, arguments.out)


def _instruments(arguments: argparse.Namespace) -> Instruments:
    from .dists import load_dists
    from .i3d import load_i3d
    from .methods import file_identity
    from .perceptual import load_lpips
    from .runner import Instruments

    perceptual = None
    if arguments.lpips != "none":
        perceptual = load_lpips(arguments.lpips, arguments.lpips_backbone, arguments.device)
    textural = load_dists(arguments.dists, arguments.device) if arguments.dists else None
    i3d = load_i3d(arguments.i3d, arguments.device) if arguments.i3d else None
    files = (arguments.lpips_backbone if perceptual else None, arguments.dists, arguments.i3d)
    identity = " ".join([f"lpips {arguments.lpips}", *(file_identity(file) for file in files if file)])
    return Instruments(perceptual, textural, i3d, identity)
