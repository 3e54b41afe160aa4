"""What of comfy-cli's answer counts against the pack."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from devtools import comfy_cli

PASSED = "✓ All validation checks passed successfully"


@pytest.fixture
def comfy(tmp_path: Path) -> Path:
    """A stand-in for the `comfy` command: it says what lies in `said` beside it and ends with the code in `code`."""
    script = tmp_path / "comfy"
    script.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, sys\n"
        "here = pathlib.Path(__file__).parent\n"
        "print((here / 'said').read_text(encoding='utf-8'))\n"
        "sys.exit(int((here / 'code').read_text()))\n",
        encoding="utf-8",
    )
    script.chmod(0o755)
    return script


@pytest.mark.parametrize(
    ("said", "code", "faults"),
    [
        (f"Validating\n{PASSED}", 0, []),
        (f"Warning: Invalid Environment classifier\n{PASSED}", 0, ["Warning: Invalid Environment classifier"]),
        ("Error: project version is empty.", 1, ["Error: project version is empty."]),
        ("Something new", 0, ["Something new"]),
        ("", 3, ["comfy-cli ended with code 3."]),
    ],
)
def test_warnings_errors_and_silence_count(said: str, code: int, faults: list[str], comfy: Path) -> None:
    (comfy.parent / "said").write_text(said, encoding="utf-8")
    (comfy.parent / "code").write_text(str(code))
    assert comfy_cli.validate(comfy, comfy.parent) == faults
