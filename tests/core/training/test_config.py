"""Configurations: what may be left out, and everything that is wrong with one told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from m3ddm_core.training.config import parse_config
from m3ddm_core.training.schema import ConfigError, read_toml


def test_what_is_left_out_has_the_papers_values(vae_file: Path) -> None:
    config = parse_config({"run": {"output": "out"}, "vae": {"path": str(vae_file)}})
    assert config.network.block_out_channels == (320, 640, 1280, 1280)
    assert (config.objective.masks, config.objective.ratio, config.objective.prediction) == (
        "m3ddm",
        (0.15, 0.75),
        "epsilon",
    )
    assert (config.data.frames, config.data.max_stride, config.data.global_count) == (16, 30, 16)


def test_paths_are_relative_to_the_file(tmp_path: Path, vae_file: Path) -> None:
    (tmp_path / "vae.safetensors").write_bytes(vae_file.read_bytes())
    file = tmp_path / "run.toml"
    file.write_text('[run]\noutput = "out"\nsteps = 5\n[vae]\npath = "vae.safetensors"\n')
    config = parse_config(read_toml(file), folder=str(file.parent), name=str(file))
    assert config.path(config.run.output) == tmp_path / "out"
    assert config.as_dict()["network"]["block_out_channels"] == [320, 640, 1280, 1280]
    assert parse_config(config.as_dict(), folder=str(tmp_path)) == config


def test_all_problems_are_named_at_once(settings: dict[str, Any]) -> None:
    settings["run"] |= {"stepps": 3, "batch": 0, "precision": "fp8", "compile": 1}
    settings["data"] |= {"size": [17, 16, 8]}
    settings["optimiser"] = {}
    settings["optimizer"]["lr"] = "fast"
    settings["objective"] = {"ratio": [0.1, 1.5]}
    del settings["vae"]["path"]
    with pytest.raises(ConfigError) as caught:
        parse_config(settings, name="mine.toml")
    text = str(caught.value)
    assert "mine.toml: got 9 problems" in text
    for part in (
        "[optimiser]: no such section; did you mean 'optimizer'?",
        "run.stepps: no such key; did you mean 'steps'?",
        "run.batch: got 0, expected a whole number from 1 to 4096",
        "run.precision: got 'fp8', expected one of 'no', 'fp16', 'bf16'",
        "run.compile: got 1, expected true or false",
        "optimizer.lr: got 'fast', expected a number from 0 to 1",
        "data.size: got [17, 16, 8], expected a list of 2 values",
        "objective.ratio: got [0.1, 1.5], expected a list, each a number from 0.01 to 0.99",
        "vae.path: missing",
    ):
        assert part in text


def test_contradictions_are_named_together(settings: dict[str, Any]) -> None:
    settings["network"] |= {"norm_num_groups": 3, "start": "m3ddm"}
    settings["data"] |= {"size": [20, 16], "cache": "here", "video_frames": 16}
    settings["sources"] = {"film": 1.0}
    settings["material"] = {"film": "nowhere"}
    settings["data"]["frames"] = 32
    settings["synthetic"]["speed"] = [0.5, 0.1]
    settings["vae"]["path"] = "nowhere.safetensors"
    with pytest.raises(ConfigError) as caught:
        parse_config(settings)
    for part in (
        "multiples of norm_num_groups = 3",
        "speed: got [0.5, 0.1]",
        "data.size: got 20",
        "material.film: got 'nowhere'",
        "data.cache",
        "at least data.frames = 32",
        "start = 'm3ddm'",
        "nowhere.safetensors",
    ):
        assert part in str(caught.value)


def test_shares_of_nothing_and_motion_that_would_be_forgotten_are_named(
    settings: dict[str, Any], vae_file: Path
) -> None:
    settings["sources"] = {"synthetic": 0.0}
    settings["network"] |= {"start": "m3ddm", "weights": str(vae_file)}
    settings["data"]["frames"] = 1
    with pytest.raises(ConfigError) as caught:
        parse_config(settings)
    assert "would forget motion; expected 'image'" in str(caught.value)
    assert "sources: got no share above 0" in str(caught.value)


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[run\n")
    with pytest.raises(ConfigError, match=r"run\.toml: got a file that is not TOML"):
        parse_config(read_toml(file), folder=str(file.parent), name=str(file))
