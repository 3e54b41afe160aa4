"""Train one stage of the demonstration's network from a pack for so many minutes; leave weights, curves and samples.

    python -m benchmarks.gpu_stages demo_image --pack gpu_pack --work runs/gpu_session --minutes 3

The stage is its recipe with other paths, a rate that does not fall (nobody knows the last step before the time is up;
the averaged weights take its place), and larger batches on a GPU, smaller pictures and a smaller network on a CPU. Run
again with the same ``--work`` it goes on.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from m3ddm_core.checkpoint import build_unet, read_checkpoint
from m3ddm_core.material.store import Wanted
from m3ddm_core.training.config import Config, parse_config
from m3ddm_core.training.preview import Preview
from m3ddm_core.training.samples import SHORTEST_SHOT, ClipSource
from m3ddm_core.training.schema import read_toml
from m3ddm_core.training.tiny_vae import train_tiny_vae
from m3ddm_core.training.tiny_vae_config import TinyVaeConfig, parse_tiny_vae_config
from m3ddm_core.training.trainer import WEIGHTS, train
from m3ddm_core.vae import load_vae

from .gpu_material import unpack_store
from .pack_gpu import ALEXNET, DECODER, KINDS, PLAN, ROOT, STAGES

SHORT = {
    "run": {"log_every": 20},
    "optimizer": {"schedule": "constant", "warmup": 100, "ema_decay": 0.998},
    "sources": {"synthetic": 0.0},
}
"""A run of minutes. Painted scenes take a processor so long that a GPU would wait for them."""
RECORDED = {"precision": "bf16", "graphs": True}
ON_GPU = {
    "demo_image": {"run": {**RECORDED, "batch": 256}, "data": {"rounds": 64, "pool": 16}},
    "demo_clips_128": {"run": {**RECORDED, "batch": 32}, "data": {"rounds": 16, "pool": 16}},
    "demo_clips_256": {"run": {**RECORDED, "batch": 12}, "data": {"rounds": 16, "pool": 16}},
}
"""Many steps rather than large ones: a thousand steps of batches twice as large left a border that did not join on."""
DECODER_ON_GPU = {"run": {"precision": "bf16", "batch": 48}, "pictures": {"size": 192}, "optimizer": {"lr": 3e-4}}
REHEARSAL = {
    "run": {"batch": 2},
    "network": {"block_out_channels": [32, 32, 32], "cross_attention_dim": 32, "attention_heads": 2},
    "data": {"size": [64, 64], "pool": 2, "rounds": 4, "global_size": 64},
    "material": {"store_gb": 0.2},
}
"""On a CPU only the way is tried, not the result."""
DECODER_REHEARSAL = {"pictures": {"size": 64}, "material": {"store_gb": 0.2}}


def main() -> None:
    """Train the stage and show what it can do."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("stage", choices=(*STAGES, DECODER))
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for runs and unpacked material")
    parser.add_argument("--minutes", type=float, required=True, help="of training; unpacking and samples come on top")
    options = parser.parse_args()
    pack, work = options.pack.resolve(), options.work.resolve()
    gpu = torch.cuda.is_available()
    if options.stage == DECODER:
        content = decoder_configuration(pack, work, gpu)
        vae = parse_tiny_vae_config(content, folder=str(ROOT / "recipes"), name=options.stage)
        unpack(vae, Wanted((vae.pictures.view, vae.pictures.view), 1), pack)
        train_tiny_vae(vae, resume=True, minutes=options.minutes)
        return
    content = configuration(options.stage, pack, work, gpu)
    config = parse_config(content, folder=str(ROOT / "recipes"), name=options.stage)
    unpack(config, Wanted(config.data.size, max(config.data.frames, SHORTEST_SHOT)), pack)
    weights = train(config, resume=True, minutes=options.minutes)
    show(config, weights, weights.parent / "samples")


def configuration(stage: str, pack: Path, work: Path, gpu: bool) -> dict[str, Any]:
    """A stage's recipe, changed for the machine and the pack.

    It begins with what the stage before left in ``work``, else with the pack's network, else as the recipe does where
    that needs none. Raises ``ValueError`` where it does.
    """
    content = read_toml(ROOT / "recipes" / f"{stage}.toml")
    content["vae"]["path"] = _vae(pack)
    content["data"] |= {"cache": "", "cache_clips": 0, "cache_backwards": False}
    content["network"] |= _start(stage, pack, work)
    return _for_minutes(content, stage, work, ON_GPU[stage] if gpu else REHEARSAL, gpu)


def decoder_configuration(pack: Path, work: Path, gpu: bool) -> dict[str, Any]:
    """The recipe of the autoencoder's decoder, which leaves latents as they are; changed as `configuration` does it."""
    content = read_toml(ROOT / "recipes" / f"{DECODER}.toml")
    content["start"]["weights"] = _vae(pack)
    content["worth"]["lpips_backbone"] = str(pack / ALEXNET)
    return _for_minutes(content, DECODER, work, DECODER_ON_GPU if gpu else DECODER_REHEARSAL, gpu)


def _for_minutes(
    content: dict[str, Any], stage: str, work: Path, changes: dict[str, dict[str, Any]], gpu: bool
) -> dict[str, Any]:
    """A recipe for a run of minutes, on material that is unpacked into ``work``."""
    folders = {kind: str(work / "empty" / kind) for kind in KINDS}
    for folder in folders.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    content["material"] = {**folders, "cutout": "", "store": str(work / "stores")}
    content["run"] |= {"output": str(work / stage), "steps": 1_000_000, "sample_every": 0, "save_every": 500}
    content["run"]["workers"] = max(1, (os.cpu_count() or 1) - 2) if gpu else 0
    for section, values in (*SHORT.items(), *changes.items()):
        content[section] = {**content.get(section, {}), **values}
    return content


def _vae(pack: Path) -> str:
    plan = json.loads((pack / PLAN).read_text(encoding="utf-8"))
    return str((pack / plan["vae"]).resolve())


def _start(stage: str, pack: Path, work: Path) -> dict[str, str]:
    """Keys of the section network that say what a stage begins with."""
    plan = json.loads((pack / PLAN).read_text(encoding="utf-8"))
    before = work / STAGES[STAGES.index(stage) - 1] / WEIGHTS
    if stage != plan["stage"] and before.is_file():
        return {"start": "image" if stage == STAGES[1] else "m3ddm", "weights": str(before)}
    if stage == plan["stage"] and plan["network"]:
        pictures = STAGES[0] in (stage, plan["left_by"])
        return {"start": "image" if pictures else "m3ddm", "weights": str((pack / plan["network"]).resolve())}
    if stage == STAGES[0]:
        return {}
    raise ValueError(f"got nothing that {stage} begins with, expected {before} or a network in the pack")


def unpack(config: Config | TinyVaeConfig, wanted: Wanted, pack: Path) -> None:
    """Put the pack's material where the configuration looks for it."""
    material = config.material
    for kind in KINDS:
        source = Path(getattr(material, kind))
        unpack_store(pack / "material" / kind, source, Path(material.store), wanted, material.store_gb)


def show(config: Config, weights: Path, folder: Path) -> None:
    """Outpaint two clips with a network, as training's own samples are, and write them as moving WebP pictures."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    vae = load_vae(config.path(config.vae.path)).to(device)
    network = build_unet(read_checkpoint(weights), dtype=torch.float32).eval().to(device)
    folder.mkdir(exist_ok=True)
    with torch.inference_mode():
        films = Preview(config, ClipSource(config), vae, device).outpaint(network)
    for number, (film, fps) in enumerate(films):
        first, *others = [Image.fromarray(frame) for frame in (film * 255).round().byte().cpu().numpy()]
        target = folder / f"{number}.webp"
        first.save(target, save_all=True, append_images=others, duration=round(1000 / fps), quality=80)


if __name__ == "__main__":
    main()
