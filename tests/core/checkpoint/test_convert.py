"""The command line: any checkpoint into one safetensors file, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from m3ddm_core.__main__ import main, progress_line
from m3ddm_core.checkpoint import read_checkpoint
from m3ddm_core.unet import M3DDM_CONFIG

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "golden"
TINY = replace(M3DDM_CONFIG, block_out_channels=(32, 32, 64, 64))


@pytest.fixture
def lightning(tmp_path, tiny) -> Path:
    path = tmp_path / "m3ddm_plus.ckpt"
    averages = {f"model.unet_ema.{name}": tensor for name, tensor in tiny.items()}
    torch.save({"epoch": 1, "state_dict": {f"model.unet.{n}": t for n, t in tiny.items()} | averages}, path)
    return path


@pytest.mark.parametrize(
    ("option", "dtype"),
    [(None, torch.float32), ("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)],
)
def test_convert_writes_one_flat_file(tmp_path, tiny, lightning, capsys, option, dtype):
    out = tmp_path / "out.safetensors"
    assert main(["convert", str(lightning), str(out)] + (["--dtype", option] if option else [])) == 0

    checkpoint = read_checkpoint(out)
    assert checkpoint.config == TINY
    assert checkpoint.prefix == ""
    assert checkpoint.state_dict.keys() == tiny.keys()
    for name, tensor in tiny.items():
        expected = tensor if name.endswith("num_batches_tracked") else tensor.to(dtype)
        assert checkpoint.state_dict[name].dtype == expected.dtype, name
        assert torch.equal(checkpoint.state_dict[name], expected), name
    with safe_open(out, "pt") as file:
        assert file.metadata() == {
            "format": "m3ddm",
            "attention_heads": "8",
            "norm_num_groups": "32",
            "norm_eps": "1e-05",
            "prediction_type": "epsilon",
            "source_file": "m3ddm_plus.ckpt",
        }

    said = capsys.readouterr()
    assert "found an M3DDM U-Net in a PyTorch pickle, names under 'state_dict.model.unet.'" in said.out
    assert f"{checkpoint.parameters:,} parameters in {len(tiny):,} tensors, float32" in said.out
    assert "widths 32, 32, 64, 64; 2 layers a block; 9 channels in, 4 out" in said.out
    assert f"{len(tiny):,} tensors beside the network are left out" in said.out
    assert f"as {str(dtype).removeprefix('torch.')}" in said.out
    assert "100 %" in said.err


def test_converting_again_keeps_what_the_file_says(tmp_path, tiny, lightning):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    assert main(["convert", str(lightning), str(first)]) == 0
    assert main(["convert", str(first), str(second)]) == 0
    assert second.read_bytes() == first.read_bytes()


def test_a_diffusers_folder_is_converted(tmp_path, tiny):
    folder = tmp_path / "video_outpainting"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"attention_head_dim": 4, "prediction_type": "v_prediction"}))
    torch.save(tiny, folder / "diffusion_pytorch_model.bin")
    out = tmp_path / "out.safetensors"
    assert main(["convert", str(folder), str(out)]) == 0
    checkpoint = read_checkpoint(out)
    assert checkpoint.config == replace(TINY, attention_heads=4)
    assert checkpoint.prediction_type == "v_prediction"
    assert checkpoint.metadata["source_file"] == "video_outpainting"


def test_an_existing_file_is_replaced_only_by_force(tmp_path, lightning, capsys):
    out = tmp_path / "out.safetensors"
    out.write_bytes(b"old")
    assert main(["convert", str(lightning), str(out)]) == 2
    assert "add --force" in capsys.readouterr().err
    assert out.read_bytes() == b"old"
    assert main(["convert", str(lightning), str(out), "--force"]) == 0
    assert read_checkpoint(out).config == TINY


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("absent.bin", "out.safetensors", "absent.bin: got nothing, expected a checkpoint file"),
        ("page.bin", "out.safetensors", "page.bin: got a web page"),
        ("vae.bin", "out.safetensors", "It looks like a VAE. Load it as the VAE"),
        ("page.bin", "out.bin", "got the output name out.bin, expected one that ends in .safetensors"),
        ("page.bin", "no/such/out.safetensors", "expected an existing folder"),
        ("page.bin", "folder.safetensors", "as output, expected the name of a file"),
        ("same.safetensors", "same.safetensors", "as both input and output"),
    ],
)
@pytest.mark.parametrize("force", [[], ["--force"]], ids=["", "force"])
def test_bad_input_gets_a_message_and_code_2(tmp_path, capsys, source, target, said, force):
    (tmp_path / "page.bin").write_bytes(b"<!doctype html>")
    (tmp_path / "same.safetensors").write_bytes(b"<!doctype html>")
    (tmp_path / "folder.safetensors").mkdir()
    torch.save({"encoder.conv_in.weight": torch.zeros(128, 3, 3, 3)}, tmp_path / "vae.bin")
    before = sorted(tmp_path.iterdir())
    assert main(["convert", str(tmp_path / source), str(tmp_path / target), *force]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert sorted(tmp_path.iterdir()) == before


def test_from_the_shell_there_is_no_traceback(tmp_path):
    (tmp_path / "page.bin").write_bytes(b"<!doctype html>")
    command = [
        sys.executable,
        "-m",
        "m3ddm_core",
        "convert",
        str(tmp_path / "page.bin"),
        str(tmp_path / "o.safetensors"),
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.startswith("error: page.bin: got a web page")
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["convert", "--help"]])
def test_help_does_not_wait_for_torch(arguments):
    script = (
        "import sys\nfrom m3ddm_core.__main__ import main\n"
        f"try: main({arguments})\nexcept SystemExit as end: assert end.code == 0\n"
        "assert 'torch' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert "convert" in run.stdout


@pytest.mark.parametrize("arguments", [[], ["paint"], ["convert", "in.bin"], ["convert", "a", "b", "--dtype", "int8"]])
def test_bad_usage_ends_with_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: python -m m3ddm_core" in capsys.readouterr().err


def test_ctrl_c_leaves_nothing_behind(tmp_path, lightning, monkeypatch, capsys):
    def interrupted(done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr("m3ddm_core.__main__.progress_line", lambda: interrupted)
    assert main(["convert", str(lightning), str(tmp_path / "out.safetensors")]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [lightning]


def test_progress_is_a_line_each_tenth_without_a_terminal(capsys):
    report = progress_line()
    for done in range(1001):
        report(done * 10**6, 10**9)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == [str(percent) for percent in range(0, 101, 10)]
    assert lines[5] == "   50 %  0.50 of 1.00 GB"


@pytest.mark.slow
def test_a_full_size_file_is_converted(tmp_path, capsys):
    """All 1,516 tensors at their published sizes, 2.6 GB, nearly all of it a hole in the file."""
    shapes = json.loads((GOLDEN / "full_size_state_dict.json").read_text())["shapes"]
    source, out = tmp_path / "m3ddm_sparse.safetensors", tmp_path / "m3ddm_fp16.safetensors"
    lasts = write_sparse(source, shapes)
    try:
        assert main(["convert", str(source), str(out)]) == 0
        assert "1,299,279,320 parameters in 1,516 tensors, float16" in capsys.readouterr().out
        with safe_open(out, "pt") as file:
            assert set(file.keys()) == set(shapes)
            for name, last in lasts.items():
                assert list(file.get_slice(name).get_shape()) == shapes[name]
                written = file.get_tensor(name)
                assert written.dtype == last.dtype
                assert written.reshape(-1)[-1] == last, name
    finally:
        out.unlink(missing_ok=True)


def write_sparse(path: Path, shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """Write a safetensors file of zeros, each tensor's last element a number of its own, and return these."""
    header, lasts, end = {}, {}, 0
    for number, (name, shape) in enumerate(shapes.items()):
        counter = name.endswith("num_batches_tracked")
        lasts[name] = torch.tensor(number, dtype=torch.int64 if counter else torch.float16)
        start, end = end, end + torch.Size(shape).numel() * lasts[name].itemsize
        header[name] = {"dtype": "I64" if counter else "F16", "shape": shape, "data_offsets": [start, end]}
    encoded = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for name, last in lasts.items():
            file.seek(8 + len(encoded) + header[name]["data_offsets"][1] - last.itemsize)
            file.write(last.reshape(1).view(torch.uint8).numpy().tobytes())
    return lasts


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_what_a_killed_convert_left_is_cleared_by_the_next(tmp_path, lightning):
    """Killed while it writes: no half of a file under the final name, and what was written does not stay."""
    out = tmp_path / "out.safetensors"
    script = (
        "import os, signal, sys\nfrom m3ddm_core.checkpoint.convert import convert\n"
        "convert(sys.argv[1], sys.argv[2], progress=lambda done, total: os.kill(os.getpid(), signal.SIGKILL))"
    )
    run = subprocess.run([sys.executable, "-c", script, str(lightning), str(out)], cwd=ROOT, capture_output=True)
    assert run.returncode == -signal.SIGKILL
    (leftover,) = tmp_path.glob(".out.safetensors.*.partial")
    assert not out.exists()
    os.utime(leftover, (0, 0))  # long ago
    other, young = tmp_path / ".other.safetensors.1.partial", tmp_path / ".out.safetensors.2.partial"
    other.write_bytes(b"another file's")
    os.utime(other, (0, 0))
    young.write_bytes(b"another process's")
    assert main(["convert", str(lightning), str(out)]) == 0
    assert sorted(tmp_path.iterdir()) == sorted([lightning, out, other, young])


def test_names_with_escape_sequences_do_not_reach_the_terminal(tmp_path, tiny, capsys):
    path = tmp_path / "m.ckpt"
    torch.save({f"\x1b[2J\x1b]0;owned\x07.{name}": tensor for name, tensor in tiny.items()}, path)
    assert main(["convert", str(path), str(tmp_path / "out.safetensors")]) == 0
    torch.save({f"\x1b[2J{'a' * 2_000_000}\n{number}": torch.zeros(1) for number in range(9)}, path)
    assert main(["convert", str(path), str(tmp_path / "other.safetensors")]) == 2
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert len(said.err) < 5000


@pytest.mark.parametrize(("number", "said"), [(28, "No space left on device"), (30, "Read-only file system")])
def test_a_disk_that_fails_while_it_is_written_to_is_told(tmp_path, lightning, monkeypatch, capsys, number, said):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    assert main(["convert", str(lightning), str(tmp_path / "out.safetensors")]) == 2
    assert f"out.safetensors: got a file that cannot be written ({said})" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [lightning]
