#!/usr/bin/env python3
"""Write into a checkpoint how it is best used, as the section ``[use]`` of a recipe says.

    python recipes/advise.py models/m3ddm_demo.safetensors recipes/demo_128.toml

Training does so by itself; this is for weights from before it did, and for a better setting found later.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from m3ddm_core.checkpoint import read_checkpoint, save_checkpoint
from m3ddm_core.sampling.advice import Advice, read_advice
from m3ddm_core.sampling.settings import SamplingSettings
from m3ddm_core.training.schema import read_toml


def main() -> None:
    """Read both files and write the first anew."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("checkpoint", type=Path, help="a .safetensors of ours")
    parser.add_argument("recipe", type=Path, help="a configuration with a section [use]")
    arguments = parser.parse_args()
    recipe = read_toml(arguments.recipe)
    values = dict(recipe["use"])
    canvas_size = values.pop("canvas_size", 0) or max(recipe["data"]["size"])
    advice = Advice(SamplingSettings().changed(values), canvas_size)
    read_advice(advice.metadata())  # Says what could not be followed.
    checkpoint = read_checkpoint(arguments.checkpoint)
    metadata = {**checkpoint.metadata, **advice.metadata()}
    save_checkpoint(arguments.checkpoint, checkpoint.state_dict, checkpoint.config, metadata)
    print(f"{arguments.checkpoint}: {advice.metadata()}")


if __name__ == "__main__":
    main()
