"""What all of the core's tests share. They run without ComfyUI."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def tiny() -> dict[str, torch.Tensor]:
    """A small network's state dict with seeded weights."""
    from tests.helpers.checkpoint_files import TINY, seeded

    return seeded(TINY)


@pytest.fixture
def small_globals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Global frames of which encoding and sampling take little."""
    from tests.helpers.small_globals import SIZE, SMALL

    monkeypatch.setattr(SIZE, SMALL)


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the narrowest network, with seeded weights."""
    from tests.helpers.checkpoint_files import write_narrow

    path = tmp_path_factory.mktemp("narrow") / "narrow.safetensors"
    write_narrow(path)
    return path
