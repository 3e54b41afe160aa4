"""Options that all tiers share."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        type=Path,
        default=Path(__file__).parent / "golden",
        help="folder of golden files to hold the core against (default: tests/golden)",
    )
