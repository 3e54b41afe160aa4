"""Which weights become the demonstration's."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.helpers.recipes import load_recipe


@pytest.fixture
def promote() -> ModuleType:
    return load_recipe("promote")


def records(lpips: list[float], psnr: list[float], method: str) -> list[dict[str, Any]]:
    return [
        {"clip": f"shot {number}", "case": case, "method": method, "values": {"filled": {"lpips": one, "psnr": other}}}
        for number, (one, other) in enumerate(zip(lpips, psnr, strict=True))
        for case in ("left", "right")
    ]


SHIPPED = records([0.5, 0.3, 0.7, 0.6], [15.0, 16.0, 14.0, 15.0], "shipped")


@pytest.mark.parametrize(
    ("lpips", "psnr", "better"),
    [
        ([0.45, 0.24, 0.66, 0.55], [15.0, 16.1, 14.2, 15.0], True),
        ([0.45, 0.24, 0.66, 0.55], [14.8, 15.8, 13.8, 14.8], True),
        ([0.45, 0.24, 0.66, 0.55], [14.5, 15.5, 13.5, 14.5], False),
        ([0.3, 0.25, 0.75, 0.65], [15.0, 16.0, 14.0, 15.0], False),
        ([0.55, 0.34, 0.75, 0.66], [17.0, 18.0, 16.0, 17.0], False),
        ([0.5, 0.3, 0.7, 0.6], [15.0, 16.0, 14.0, 15.0], False),
    ],
    ids=["better", "sharper", "too far off", "by chance", "worse", "the same"],
)
def test_only_what_is_certainly_better_is_taken(
    promote: ModuleType, lpips: list[float], psnr: list[float], better: bool
) -> None:
    verdict = promote.judge(SHIPPED + records(lpips, psnr, "candidate"))
    assert verdict.better is better
    assert len(verdict.lines) == 2 and "0.525 shipped" in verdict.lines[0] and "4 clips" in verdict.lines[0]


@pytest.mark.parametrize(
    ("shipped", "candidate", "better"),
    [(1.5, 1.6, True), (1.5, 1.7, False), (0.4, 1.05, True), (0.4, 1.15, False), (2.7, 1.5, True)],
    ids=["hardly more", "more", "up to the truth's", "above it", "less"],
)
def test_what_flickers_more_is_refused(promote: ModuleType, shipped: float, candidate: float, better: bool) -> None:
    found = records([0.45, 0.24, 0.66, 0.55], [15.0, 16.0, 14.0, 15.0], "candidate")
    clips = [
        {**record, "values": {"filled": {**record["values"]["filled"], "flicker": flicker}}}
        for side, flicker in ((SHIPPED, shipped), (found, candidate))
        for record in side
    ]
    verdict = promote.judge(clips)
    assert verdict.better is better
    assert f"{shipped:.3f} shipped, {candidate:.3f} candidate" in verdict.lines[-1]


def test_one_clip_proves_nothing(promote: ModuleType) -> None:
    assert not promote.judge(SHIPPED[:2] + records([0.1], [20.0], "candidate")).better


def test_without_a_clip_in_common_there_is_no_verdict(promote: ModuleType) -> None:
    with pytest.raises(ValueError, match="got no clip with the lpips of both"):
        promote.judge(SHIPPED)


@pytest.fixture
def pack(promote: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A pack with weights of some bytes, and an evaluate that finds what it is told."""
    models = tmp_path / "models"
    models.mkdir()
    network, vae, given = models / "network", models / "vae", tmp_path / "given"
    for path, content in ((network, b"old"), (vae, b"vae"), (given, b"new")):
        path.write_bytes(content)
    found: list[dict[str, Any]] = []
    commands: list[list[str]] = []

    def evaluate(command: list[str], cwd: Path) -> SimpleNamespace:
        commands.append(command)
        out = Path(command[command.index("evaluate") + 2])
        out.mkdir(parents=True, exist_ok=True)
        (out / "table.json").write_text(json.dumps({"clips": SHIPPED + found}))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(promote.subprocess, "run", evaluate)
    for name, value in (("PACK", tmp_path), ("NETWORK", network), ("VAE", vae), ("LARGEST", {network: 4, vae: 4})):
        monkeypatch.setattr(promote, name, value)
    monkeypatch.setattr(sys, "argv", ["promote.py", "--network", str(given), "--out", str(tmp_path / "out")])
    return SimpleNamespace(network=network, vae=vae, given=given, found=found, commands=commands)


def test_better_weights_are_copied_and_worse_ones_refused(promote: ModuleType, pack: SimpleNamespace) -> None:
    pack.found += records([0.55, 0.34, 0.75, 0.66], [15.0] * 4, "candidate")
    assert promote.main() == 1 and pack.network.read_bytes() == b"old"
    pack.found[:] = records([0.4, 0.2, 0.6, 0.5], [15.0] * 4, "candidate")
    assert promote.main() == 0 and pack.network.read_bytes() == b"new" and pack.vae.read_bytes() == b"vae"
    methods = [text for text in pack.commands[0] if text.startswith("m3ddm:")]
    assert f"checkpoint={pack.network},vae={pack.vae}" in methods[0]
    assert f"checkpoint={pack.given},vae={pack.vae}" in methods[1]
    assert all(text.endswith(",preset=checkpoint") for text in methods)


def test_what_is_too_large_or_not_there_is_not_measured(promote: ModuleType, pack: SimpleNamespace) -> None:
    pack.given.write_bytes(b"large")
    assert promote.main() == 2
    pack.given.unlink()
    assert promote.main() == 2 and not pack.commands and pack.network.read_bytes() == b"old"
