"""comfy-cli, the registry's own client: asked whether the pack is fit to be published.

It is given a home of its own, so that it neither reads nor writes the user's settings, and told in every way it knows
to send nothing home. Nothing that is asked of it here needs the network.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from .host import PACK, clean_environment


def call(
    executable: Path, home: Path, *arguments: str, cwd: Path = PACK, timeout: float = 600.0
) -> subprocess.CompletedProcess[str]:
    """Run `comfy` in ``cwd`` with ``home`` as its home, without questions, and return what it answered."""
    environment = clean_environment(
        DO_NOT_TRACK="1",
        COMFY_NO_TELEMETRY="1",
        COMFY_NO_UPDATE_CHECK="1",
        NO_COLOR="1",
        **dict.fromkeys(("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CONFIG_HOME"), str(home)),
    )
    return subprocess.run(
        [str(executable), "--skip-prompt", *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout,
    )


def validate(executable: Path, home: Path) -> list[str]:
    """What the registry would have against the pack: the lines that say so, or none."""
    call(executable, home, "tracking", "disable")
    answer = call(executable, home, "node", "validate")
    said = (answer.stdout + answer.stderr).splitlines()
    faults = [line.strip() for line in said if "warning" in line.lower() or "error" in line.lower()]
    if not faults and (answer.returncode != 0 or "validation checks passed" not in "\n".join(said)):
        return [line for line in said if line.strip()] or [f"comfy-cli ended with code {answer.returncode}."]
    return faults
