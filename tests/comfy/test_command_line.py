"""The same video through M3DDM Outpaint Video and through ``python -m m3ddm_core outpaint``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "assets" / "big_buck_bunny.mp4"
DEMO, DEMO_VAE = (ROOT / "models" / name for name in ("m3ddm_demo.safetensors", "m3ddm_demo_vae.safetensors"))
OPTIONS = {"canvas_size": 64, "seed": 5, "colour_match": "steady", "blend": "gradient", "first_frames": 18}
SAMPLING = {"steps": 2, "context_scale": 1.5}


@pytest.mark.usefixtures("with_diffusers")
def test_node_and_command_line_make_equal_frames(pack, load_video, tmp_path, monkeypatch) -> None:
    """Before they are encoded: x264 makes much of a rounding error, and not the same thing each time."""
    import comfy.sd
    import comfy.utils

    (model,) = pack.run("M3DDM_LoadCheckpoint", checkpoint=DEMO.name, weight_dtype="fp32")
    vae = comfy.sd.VAE(sd=comfy.utils.load_torch_file(str(DEMO_VAE)), dtype=torch.float32)
    as_new = {"settings": pack.settings(**SAMPLING), "result_size": "automatic"}
    node = pack.outpaint_video(model, vae, load_video(str(CLIP)), **as_new, **OPTIONS)

    written = {}

    def write_shots(path, shots, info, sound, **options):
        written.update(frames=torch.stack([frame for shot in shots for frame in shot.frames]), info=info, sound=sound)
        Path(path).write_bytes(b"whole")

    monkeypatch.setattr(pack.module("m3ddm_core.pipeline"), "write_shots", write_shots)
    arguments = ["--checkpoint", str(DEMO), "--vae", str(DEMO_VAE), "--ratio", "16:9", "--preset", "custom"]
    for name, value in {**OPTIONS, **SAMPLING}.items():
        arguments += [f"--{name.replace('_', '-')}", str(value)]
    target = tmp_path / "out.mp4"
    assert pack.module("m3ddm_core.__main__").main(["outpaint", str(CLIP), str(target), *arguments]) == 0
    assert target.read_bytes() == b"whole"

    frames = torch.stack(list(node.video.frames()))
    assert written["frames"].shape == frames.shape == (18, 288, 512, 3)
    assert (written["frames"] - frames).abs().max() <= 1e-4
    assert written["info"] == node.video.info
    ours, theirs = (
        torch.cat([torch.from_numpy(block) for block in sound.blocks()], dim=1)
        for sound in (written["sound"], node.video.sound)
    )
    assert torch.equal(ours, theirs)
