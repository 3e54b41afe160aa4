"""A ComfyUI inside the test process, with the pack loaded as ComfyUI loads it: by file location, under a made-up name.

The host's folder is taken from ``COMFYUI_PATH``, which ``python run.py test`` sets.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]

os.environ["M3DDM_JOURNAL"] = "0"  # no test finds what another has sampled; those of the journal switch it on
sys.modules["diffusers"] = None  # the pack runs without it: whoever imports it here fails


AT_ITS_SIZE = {"result_size": "as the source"}
"""So that the pictures of a test are compared pixel by pixel with what it put in."""
PLAIN = {"colour_match": "none", "blend": "feather"}
"""Nothing is done to what was generated but to scale it."""


class Pack:
    """The loaded pack: its nodes by id, and its modules under the name that ComfyUI gave it."""

    def __init__(self, name: str, nodes: dict[str, Any]):
        self.name = name
        self.nodes = nodes

    def module(self, path: str) -> ModuleType:
        """Import a module of the pack, such as ``m3ddm_core.plan`` or ``nodes.guider``."""
        return importlib.import_module(f"{self.name}.{path}")

    def run(self, node_id: str, **inputs: Any) -> tuple:
        """Execute a node as ComfyUI does, without gradients, and return its outputs."""
        with torch.inference_mode():
            return self.nodes[node_id].execute(**inputs).args

    def edge_mask(self, frames: torch.Tensor, **inputs: Any) -> tuple:
        """Execute the edge mask node with its own defaults but for ``inputs``, and the source as it is."""
        schema = self.nodes["M3DDM_EdgeMask"].GET_SCHEMA()
        defaults = {entry.id: entry.default for entry in schema.inputs if hasattr(entry, "default")}
        return self.run("M3DDM_EdgeMask", images=frames, **{**defaults, **AT_ITS_SIZE, **inputs})

    def outpaint_video(self, model: Any, vae: Any, video: Any, **options: Any) -> Any:
        """Execute the video node with its own defaults but for ``options``, the source as it is, plain blending."""
        schema = self.nodes["M3DDM_OutpaintVideo"].GET_SCHEMA()
        defaults = {entry.id: entry.default for entry in schema.inputs if hasattr(entry, "default")}
        asked = {**defaults, **AT_ITS_SIZE, **PLAIN, **options}
        return self.run("M3DDM_OutpaintVideo", model=model, vae=vae, video=video, **asked)[0]

    def settings(self, **values: Any) -> Any:
        """The core's sampling settings, with some by the names that the settings node gives them."""
        return self.module("m3ddm_core.sampling.settings").SamplingSettings().changed(values)

    def noise_state(self, frames: int) -> Any:
        """A video of seeded noise on a canvas of 64x64 pixels, its right half to be made, of which nothing is known."""
        draw = torch.Generator().manual_seed(0)
        start = torch.randn((frames, 4, 8, 8), generator=draw)
        masks = torch.zeros(frames, 1, 8, 8)
        masks[..., 4:] = 1
        return self.module("m3ddm_core.outpaint.state").OutpaintState(
            start=start,
            masked=torch.randn((frames, 4, 8, 8), generator=draw),
            masks=masks,
            blank=torch.randn((1, 4, 8, 8), generator=draw),
            latents=start,
            global_latents=torch.randn((2, 4, 16, 16), generator=draw),
            fps=25.0,
            known=frozenset(),
            guides=frozenset(),
            placement=None,
        )

    def prepare(self, frames: torch.Tensor, vae: Any, *, count: int = 2, **inputs: Any) -> tuple[dict, torch.Tensor]:
        """Source frames to what the context node takes, but for VAE and rate, and the frames that are used."""
        canvas, mask, placement, used = self.edge_mask(frames, **inputs)
        (global_frames,) = self.run("M3DDM_EncodeGlobalFrames", frames=used, vae=vae, count=count)
        return {"canvas": canvas, "mask": mask, "placement": placement, "global_frames": global_frames}, used


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    host = os.environ.get("COMFYUI_PATH")
    if not host:
        pytest.fail("COMFYUI_PATH is not set: run these tests with `python run.py test comfy`")
    # With the pack's root on the path, `import nodes` would find the pack instead of ComfyUI.
    sys.path[:] = [host] + [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]

    import comfy.cli_args

    comfy.cli_args.args.cpu = not torch.cuda.is_available()
    import folder_paths

    scratch = tmp_path_factory.mktemp("comfyui")
    folder_paths.set_output_directory(str(scratch / "output"))
    folder_paths.set_temp_directory(str(scratch / "temp"))
    (scratch / "diffusion_models").mkdir()
    folder_paths.add_model_folder_path("diffusion_models", str(scratch / "diffusion_models"), is_default=True)

    import nodes

    before = set(nodes.NODE_CLASS_MAPPINGS)
    assert asyncio.run(nodes.load_custom_node(str(ROOT))), "ComfyUI could not load the pack; see the log"
    ours = {name: node for name, node in nodes.NODE_CLASS_MAPPINGS.items() if name not in before}
    return Pack(str(ROOT).replace(".", "_x_"), ours)


@pytest.fixture
def with_diffusers(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the library's own way, which no node goes: its VAEs and few-step solvers need diffusers."""
    monkeypatch.delitem(sys.modules, "diffusers")


@pytest.fixture(scope="session")
def golden(pack: Pack) -> ModuleType:
    """The helpers of tests/helpers/golden_files.py, over the pack's own core."""
    sys.modules.setdefault("m3ddm_core", pack.module("m3ddm_core"))
    sys.modules.setdefault("m3ddm_core.unet", pack.module("m3ddm_core.unet"))
    spec = importlib.util.spec_from_file_location("golden_files", ROOT / "tests" / "helpers" / "golden_files.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_checkpoint(pack: Pack, golden: ModuleType) -> str:
    """Name, in ComfyUI's folder, of a small checkpoint with the golden files' weights."""
    import dataclasses

    import folder_paths

    config = dataclasses.replace(pack.module("m3ddm_core.unet").M3DDM_CONFIG, block_out_channels=(32, 32, 64, 64))
    path = Path(folder_paths.get_folder_paths("diffusion_models")[0]) / "m3ddm_tiny.safetensors"
    pack.module("m3ddm_core.checkpoint").save_checkpoint(path, golden.seeded_weights(config), config)
    return path.name


@pytest.fixture
def model(pack: Pack, tiny_checkpoint: str) -> Any:
    (patcher,) = pack.run("M3DDM_LoadCheckpoint", checkpoint=tiny_checkpoint, weight_dtype="fp32")
    return patcher


@pytest.fixture
def small_state(pack: Pack) -> Any:
    """One clip of 64x64 pixels, its right half to be made, out of seeded noise."""
    return pack.noise_state(16)


class LinearVAE:
    """The golden files' stand-in for a VAE, in ComfyUI's terms: raw latents, ``encode`` and ``decode`` only."""

    def __init__(self, encode: Any):
        self.to_model_space = encode

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        return self.to_model_space(frames) / 0.18215

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        mix = torch.tensor(((0.6, 0.3, -0.2), (-0.4, 0.7, 0.2), (0.3, -0.2, 0.8), (0.2, 0.5, -0.5)))
        colours = torch.einsum("c l, n l h w -> n h w c", torch.linalg.pinv(mix), latents * 0.18215 / 2)
        return (colours.repeat_interleave(8, 1).repeat_interleave(8, 2) + 1) / 2


@pytest.fixture(scope="session")
def vae(golden: ModuleType) -> LinearVAE:
    return LinearVAE(golden.helper("reference_vae").encode)


@pytest.fixture(scope="session")
def load_video(pack: Pack) -> Any:
    """ComfyUI's own video from a path or from bytes."""
    from comfy_api.latest import InputImpl

    return InputImpl.VideoFromFile


@pytest.fixture(scope="session")
def shot() -> Any:
    """``shot(seed, frames)``: smooth noise that moves a pixel a frame, (frames, 48, 32, 3)."""

    def make(seed: int, frames: int) -> torch.Tensor:
        noise = torch.rand(1, 3, 6, 10, generator=torch.Generator().manual_seed(seed))
        wide = torch.nn.functional.interpolate(noise, (48, 32 + frames), mode="bilinear")[0]
        return torch.stack([wide[:, :, frame : frame + 32] for frame in range(frames)]).movedim(1, -1)

    return make


@pytest.fixture
def components(pack: Pack) -> Any:
    """ComfyUI's video of frames in memory, with two channels of sound at 8000 samples a second."""
    from comfy_api.latest import InputImpl, Types

    def make(frames: torch.Tensor, rate: Fraction = Fraction(25), bit_depth: int = 8) -> Any:
        samples = torch.linspace(-0.5, 0.5, len(frames) * 320).expand(1, 2, -1)
        audio = {"waveform": samples, "sample_rate": 8000}
        parts = Types.VideoComponents(images=frames, audio=audio, frame_rate=rate)
        return InputImpl.VideoFromComponents(parts, bit_depth=bit_depth)

    return make


@pytest.fixture
def two_scenes(components: Any, shot: Any) -> Any:
    """A video of two scenes, 12 and 10 frames."""
    return components(torch.cat([shot(1, 12), shot(2, 10)]))


@pytest.fixture
def outpaint(pack: Pack, model: Any, vae: LinearVAE, monkeypatch: pytest.MonkeyPatch) -> Any:
    """M3DDM Outpaint Video with its own defaults on a small canvas; what it samples is what it started from."""

    def clip_sampler(patcher: Any, settings: Any, seed: int) -> Any:
        def sample(conditions: Any, start: torch.Tensor, noise: torch.Tensor, callback: Any) -> torch.Tensor:
            callback(0, 1, start)
            return start

        return sample

    monkeypatch.setattr(pack.module("nodes.host.models"), "clip_sampler", clip_sampler)

    def run(video: Any, **options: Any) -> Any:
        return pack.outpaint_video(model, vae, video, **{"canvas_size": 64, **options})

    return run
