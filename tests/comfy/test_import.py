"""What importing the pack does to its host: next to nothing, and not more where OpenCV is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

LOAD = """
import asyncio, sys
sys.path[:] = [{host!r}] + [entry for entry in sys.path if entry]
sys.modules["cv2"] = None  # import cv2 raises ImportError
import comfy.cli_args
comfy.cli_args.args.cpu = True
import nodes, torch
before, state = set(sys.modules), torch.random.get_rng_state()
assert asyncio.run(nodes.load_custom_node({pack!r}))
assert sum(name.startswith("M3DDM_") for name in nodes.NODE_CLASS_MAPPINGS) == {count}
assert torch.equal(state, torch.random.get_rng_state()), "random numbers were drawn"
slow = {{"diffusers", "cv2", "pandas", "matplotlib"}} & (set(sys.modules) - before)
assert not slow, f"imported at start: {{slow}}"
edge_mask = nodes.NODE_CLASS_MAPPINGS["M3DDM_EdgeMask"]
defaults = {{i.id: i.default for i in edge_mask.GET_SCHEMA().inputs if hasattr(i, "default")}}
frames = torch.rand(2, 32, 32, 3)
edge_mask.execute(images=frames, **defaults)
try:
    edge_mask.execute(images=frames, **{{**defaults, "fill": "telea"}})
except ImportError as error:
    assert "opencv-python-headless" in str(error) and "smooth" in str(error)
else:
    raise AssertionError("telea ran without OpenCV")
print("ok")
"""


def test_the_pack_loads_without_opencv_and_imports_nothing_slow(tmp_path):
    count = len(json.loads((ROOT / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8")))
    script = LOAD.format(host=os.environ["COMFYUI_PATH"], pack=str(ROOT), count=count)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.strip().endswith("ok"), done.stdout + done.stderr
