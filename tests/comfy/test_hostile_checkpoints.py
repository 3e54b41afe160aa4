"""The loader node over the table of broken and hostile files: one outcome each, in the library's words."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest
import torch

from tests.helpers.hostile import EITHER, RIGHT, TOLD, all_cases
from tests.helpers.hostile.networks import SMALL
from tests.helpers.hostile.pickles import SPRUNG

CASES = [case for case in all_cases() if case.kind != "folder"]
EVERY = 2
SECONDS = 10.0


@pytest.fixture(scope="module")
def weights(pack, golden) -> dict[str, torch.Tensor]:
    tensors = golden.seeded_weights(dataclasses.replace(pack.module("m3ddm_core.unet").M3DDM_CONFIG, **SMALL))
    return {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}


@pytest.fixture
def load(pack):
    load_model = pack.module("nodes.load_checkpoint").load_model
    return lambda path: load_model(str(path), {"dtype": torch.float16})


@pytest.mark.parametrize("case", [case for case in CASES if case.outcome == RIGHT] + CASES[::EVERY], ids=str)
def test_a_file_is_loaded_right_or_refused_in_one_line(pack, load, tmp_path, weights, case):
    path = case.write(tmp_path, weights)
    started = time.process_time()
    try:
        patcher = load(path)
    except pack.module("m3ddm_core.checkpoint").CheckpointError as error:
        assert case.outcome in (TOLD, EITHER), error
        assert str(error).isprintable()
        assert str(error).count(path.name) <= 1
        assert "weights_only" not in str(error)
    else:
        assert case.outcome in (RIGHT, EITHER)
        loaded = patcher.model.diffusion_model.state_dict()
        if case.exact:
            assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())
    assert time.process_time() - started < SECONDS
    assert not (tmp_path / SPRUNG).exists()


def test_a_sound_file_keeps_what_comfyui_needs_to_fetch_from_it(pack, load, tmp_path, weights, monkeypatch):
    """Once checked, a safetensors file is mapped by ComfyUI's own loader, whose tensors know their place in it."""
    import comfy.utils

    asked = []
    original = comfy.utils.load_torch_file
    monkeypatch.setattr(
        comfy.utils, "load_torch_file", lambda path, **options: asked.append(Path(path)) or original(path, **options)
    )
    case = next(case for case in CASES if case.name == "m.safetensors" and case.outcome == RIGHT)
    path = case.write(tmp_path, weights)
    load(path)
    assert asked == [path]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="a truncated download"):
        load(path)
    assert asked == [path], "a broken file is not ComfyUI's to read"


@pytest.mark.parametrize("name", ["m.bin", "m.pth", "m.ckpt"])
def test_disable_mmap_is_heeded(pack, load, tmp_path, weights, monkeypatch, name):
    import comfy.utils

    mapped = []
    module = pack.module("m3ddm_core.checkpoint.torch_files")
    original = module._as_bytes
    monkeypatch.setattr(module, "_as_bytes", lambda *a: mapped.append(a[2]) or original(*a))
    case = next(case for case in CASES if case.name == name and case.outcome == RIGHT)
    load(case.write(tmp_path, weights))
    monkeypatch.setattr(comfy.utils, "DISABLE_MMAP", True)
    load(case.write(tmp_path, weights))
    assert set(mapped[: len(mapped) // 2]) == {True} and set(mapped[len(mapped) // 2 :]) == {False}


def test_force_channels_last_loads(pack, load, tmp_path, weights, monkeypatch, golden):
    import comfy.model_management

    path = CASES[0].write(tmp_path, weights)
    plain = load(path).model.diffusion_model
    monkeypatch.setattr(comfy.model_management, "force_channels_last", lambda: True)
    network = load(path).model.diffusion_model
    for name, tensor in plain.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name
    layouts = {
        weight.is_contiguous(memory_format=torch.channels_last) for weight in network.parameters() if weight.ndim == 4
    }
    assert layouts == {True}


def test_another_copy_of_the_pack_is_told(pack, model):
    theirs = type("M3DDM", (), {"__module__": "custom_nodes.m3ddm-old.nodes.host.model"})()
    patcher = type("Patcher", (), {"model": theirs})()
    with pytest.raises(
        ValueError, match=r"of another copy of this pack \(custom_nodes\.m3ddm-old\).*remove one of them"
    ):
        pack.module("nodes.host.model").require_m3ddm(patcher)


class TestVAE:
    """M3DDM Load VAE, which goes the same way."""

    @pytest.fixture
    def load(self, pack, monkeypatch):
        import folder_paths

        def load(path):
            monkeypatch.setattr(folder_paths, "get_full_path", lambda kind, name: str(path) if kind == "vae" else None)
            return pack.run("M3DDM_LoadVAE", vae_name=path.name)[0]

        return load

    @pytest.fixture(scope="class")
    def tensors(self, pack):
        from safetensors.torch import load_file

        sockets = pack.module("nodes.host.sockets")
        return load_file(Path(sockets.DEMO_MODELS) / pack.module("nodes.load_vae").DEMO)

    @pytest.mark.parametrize("file", ["vae.safetensors", "vae.bin", "vae.pth", "vae.ckpt"])
    @pytest.mark.parametrize("content", ["safetensors", "zip", "older"])
    def test_the_suffix_does_not_decide(self, load, tmp_path, tensors, file, content):
        from tests.helpers.hostile import case

        write = {"safetensors": case.safetensors_bytes, "zip": case.zip_bytes, "older": case.older_bytes}[content]
        vae = load(case.put(tmp_path / file, write(tensors)))
        loaded = vae.first_stage_model.state_dict()
        assert torch.equal(loaded["taesd_decoder.1.weight"].half(), tensors["taesd_decoder.1.weight"])

    def test_nan_is_named(self, load, tmp_path, tensors):
        from tests.helpers.hostile import case

        broken = tensors["taesd_decoder.1.weight"].clone()
        broken[0] = torch.nan
        path = case.put(tmp_path / "vae.bin", case.zip_bytes({**tensors, "taesd_decoder.1.weight": broken}))
        with pytest.raises(
            ValueError, match=r"^vae\.bin: got taesd_decoder\.1\.weight with values that are not finite"
        ):
            load(path)

    def test_a_network_is_no_vae(self, load, tmp_path, weights):
        path = next(c for c in CASES if c.outcome == RIGHT).write(tmp_path, weights)
        with pytest.raises(ValueError, match=r"^m\.safetensors: got a file that ComfyUI cannot load as a VAE"):
            load(path)

    @pytest.mark.parametrize("case", CASES[::23], ids=str)
    def test_hostile_files_are_told(self, pack, load, tmp_path, weights, case):
        path = case.write(tmp_path, weights)
        with pytest.raises(pack.module("m3ddm_core.checkpoint").CheckpointError) as caught:
            load(path)
        assert str(caught.value).isprintable()
        assert not (tmp_path / SPRUNG).exists()
