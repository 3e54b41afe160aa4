"""For a ComfyUI that is measured, as a custom node: tells of each clip that is begun by a byte in a file beside it.

A byte that was written stays, whatever becomes of the process.
"""

from pathlib import Path

import comfy.samplers

NODE_CLASS_MAPPINGS = {}
BEGUN = Path(__file__).with_name("begun")

_sample = comfy.samplers.CFGGuider.sample


def sample(self, noise, *arguments, **options):
    with BEGUN.open("ab", buffering=0) as file:
        file.write(b"b" * len(noise))
    return _sample(self, noise, *arguments, **options)


comfy.samplers.CFGGuider.sample = sample
