"""A session on a GPU, as far as a CPU shows it: what is packed and compared, and that a failure stops nothing."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks import gpu_parity, gpu_session, gpu_stages, pack_gpu
from benchmarks.gpu_material import pack_store, read_store, unpack_store
from m3ddm_core.material.store import PIECES, PIXELS, Wanted, open_store
from m3ddm_core.training.config import parse_config
from m3ddm_core.training.tiny_vae_config import parse_tiny_vae_config


def decoded(folder: Path, frames: int, fps: float) -> Path:
    """A store of one piece, a ramp that grows brighter from frame to frame."""
    folder.mkdir(parents=True)
    ramp = np.linspace(0, 200, 320)[None, None, :, None] + np.arange(frames)[:, None, None, None]
    pixels = np.broadcast_to(ramp, (frames, 288, 320, 3)).astype(np.uint8)
    (folder / PIXELS).write_bytes(pixels.tobytes())
    piece = {"name": "a", "offset": 0, "shape": pixels.shape, "fps": fps}
    (folder / PIECES).write_text(json.dumps({"pieces": [piece], "skipped": {}}))
    return folder


@pytest.fixture
def pack(tmp_path):
    """A pack of every kind of material and no network."""
    stores, folder = tmp_path / "decoded", tmp_path / "pack"
    for kind in pack_gpu.KINDS:
        decoded(stores / f"{kind}-0", 24 if kind == "film" else 1, 24.0 if kind == "film" else 0.0)
    for kind, store in pack_gpu.find_stores(stores).items():
        pack_store(read_store(store), folder / "material" / kind, longest=20)
    pack_gpu.pack_weights(folder, "demo_image", None, None)
    return folder


def test_training_opens_what_was_packed(pack, tmp_path):
    source, root, wanted = tmp_path / "empty", tmp_path / "stores", Wanted((64, 64), 16)
    source.mkdir()
    unpack_store(pack / "material" / "film", source, root, wanted, 1.0)
    store = open_store("film", source, wanted, root, 1.0)
    (piece,) = store.pieces
    assert (piece.shape, piece.fps) == ((20, 256, 284, 3), 24.0)
    # The middle of 24 frames begins with the third.
    assert store.pixels(piece)[:, 128, 0].mean(-1) == pytest.approx(np.arange(2, 22), abs=3)


def test_shots_that_are_too_short_stay_packed(pack, tmp_path):
    source, wanted = tmp_path / "empty", Wanted((64, 64), 21)
    source.mkdir()
    unpack_store(pack / "material" / "film", source, tmp_path / "stores", wanted, 1.0)
    with pytest.raises(ValueError, match="none can be used"):
        open_store("film", source, wanted, tmp_path / "stores", 1.0)


def test_a_stage_is_its_recipe_on_the_packs_material(pack, tmp_path):
    content = gpu_stages.configuration("demo_image", pack, tmp_path / "work", gpu=True)
    config = parse_config(content, folder=str(pack_gpu.ROOT / "recipes"))
    assert (config.network.start, config.optimizer.schedule, config.data.frames) == ("nothing", "constant", 1)
    assert Path(config.vae.path) == pack_gpu.VAES[0], "it travels with the repository"
    with pytest.raises(ValueError, match="got nothing that demo_clips_128 begins with"):
        gpu_stages.configuration("demo_clips_128", pack, tmp_path / "work", gpu=True)


def test_the_decoder_is_trained_where_the_pack_has_what_its_loss_looks_through(pack, tmp_path):
    layers = {
        f"features.{layer}.{kind}": torch.ones(2) for layer in pack_gpu.ALEXNET_LAYERS for kind in ("weight", "bias")
    }
    save_file(layers, tmp_path / "whole.safetensors")
    pack_gpu.pack_alexnet(tmp_path / "whole.safetensors", pack / pack_gpu.ALEXNET)
    assert {tensor.dtype for tensor in load_file(pack / pack_gpu.ALEXNET).values()} == {torch.float16}
    content = gpu_stages.decoder_configuration(pack, tmp_path / "work", gpu=True)
    config = parse_tiny_vae_config(content, folder=str(pack_gpu.ROOT / "recipes"))
    assert (config.start.trained, config.run.precision, config.sources.synthetic) == ("decoder", "bf16", 0.0)


def test_a_pack_has_a_largest_size():
    assert pack_gpu.too_large({"material": 20_000_000, "wheels": 10_000_000}) == ""
    assert "got 31.0 MB (material 20.0, wheels 11.0)" in pack_gpu.too_large({"material": 20e6, "wheels": 11e6})


def test_a_missing_store_is_named(tmp_path):
    with pytest.raises(ValueError, match="got no store of films"):
        pack_gpu.find_stores(tmp_path)


@pytest.mark.parametrize("dtype", list(gpu_parity.TOLERANCES))
def test_attention_is_within_its_tolerance_and_noise_is_not(dtype):
    difference = gpu_parity.attention_difference((16, 16, 40), getattr(torch, dtype), "cpu")
    record = {"what": "attention", "dtype": dtype, "kernel": "chosen"}
    assert difference > 0
    assert not gpu_parity.is_failure({**record, "difference": difference})
    assert gpu_parity.is_failure({**record, "difference": 0.5})
    assert not gpu_parity.is_failure({**record, "none": "no kernel"})


def test_what_is_not_finite_is_infinitely_far():
    assert gpu_parity.relative_difference(torch.tensor([float("nan")]), torch.ones(1)) == float("inf")


def test_stages_share_the_time_that_is_left(pack, tmp_path):
    assert gpu_session.stages(pack) == gpu_session.stages(tmp_path) == list(pack_gpu.STAGES)
    assert gpu_session.slot(pack_gpu.STAGES, 90) == pytest.approx(35)
    assert gpu_session.slot(pack_gpu.STAGES[1:], 55) == pytest.approx(35)
    assert gpu_session.slot(pack_gpu.STAGES[2:], -5) == 0
    (pack / pack_gpu.ALEXNET).touch()
    assert gpu_session.stages(pack) == [*pack_gpu.STAGES, pack_gpu.DECODER]
    assert (gpu_session.ALEXNET, list(gpu_session.SHARES)) == (pack_gpu.ALEXNET, [*pack_gpu.STAGES, pack_gpu.DECODER])


def test_a_failed_part_is_told_and_fails_the_session(tmp_path):
    outcome = gpu_session.run("absent", ["no_such_module"], tmp_path, gpu_session.time.monotonic() + 600)
    assert outcome.code not in (0, None)
    done = gpu_session.Outcome("fine", 0, 1.0, "")
    assert gpu_session.summarise([done], "cpu", tmp_path) == 0
    assert gpu_session.summarise([outcome, done], "cpu", tmp_path) == 1
    assert json.loads((tmp_path / "summary.json").read_text())["failed"] == ["absent"]
    assert "no_such_module" in (tmp_path / "session.log").read_text()


def test_what_is_too_large_to_come_back_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_session, "LARGEST", 100)
    results, work = tmp_path / "results", tmp_path / "run"
    for folder in (results, work):
        folder.mkdir()
    (work / "m3ddm.safetensors").write_bytes(b"x" * 101)
    assert "weights of 0.0 MB" in gpu_session.export("demo_image", work, tmp_path, results)
    for name, size in (("small", 10), ("large", 101)):
        (results / name).write_bytes(b"x" * size)
    gpu_session.pack_results(results, tmp_path / "results.zip")
    assert zipfile.ZipFile(tmp_path / "results.zip").namelist() == ["small"]
