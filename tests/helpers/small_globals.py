"""`python -m tests.helpers.small_globals MODULE ...`: a module as a program, with global frames of 64x64 pixels.

A VAE encodes as many of them as a clip has frames, at 256x256 pixels: most of what a short run takes, where it is of no
account what is sampled.
"""

from __future__ import annotations

import runpy
import sys

SIZE = "m3ddm_core.outpaint.encode.GLOBAL_FRAME_SIZE"
SMALL = 64

if __name__ == "__main__":
    from m3ddm_core.outpaint import encode

    encode.GLOBAL_FRAME_SIZE = SMALL
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
