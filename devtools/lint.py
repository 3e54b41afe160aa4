"""The lint tier: the style of the code, papers that agree with the schemas, and what the registry asks of a pack."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import children, comfy_cli, docs
from . import host as hosts
from .report import Problem


class Verdict(NamedTuple):
    """What one check has to say: nothing where it passed; ``skipped`` where it could not be asked."""

    check: str
    said: list[str]
    skipped: bool = False


def lint(host: hosts.Host) -> Iterator[Verdict]:
    """Every check in turn."""
    yield _ruff(host, "check", ".")
    yield _ruff(host, "format", "--check", ".")
    yield _papers(host)
    yield _registry(host)


def _ruff(host: hosts.Host, *arguments: str) -> Verdict:
    check = f"ruff {arguments[0]}"
    command = [str(host.python), "-m", "ruff", *arguments]
    answer = children.run(command, cwd=hosts.PACK, env=hosts.clean_environment(), capture_output=True, text=True)
    if "No module named ruff" in answer.stderr:
        return Verdict(check, ["ruff is not installed."], skipped=True)
    return Verdict(check, (answer.stdout + answer.stderr).splitlines() if answer.returncode else [])


def _papers(host: hosts.Host) -> Verdict:
    try:
        outdated = docs.stale(hosts.PACK, docs.read_schemas(host))
    except Problem as problem:
        return Verdict("papers", [str(problem)])
    return Verdict("papers", [docs.remedy(file) for file in outdated])


def _registry(host: hosts.Host) -> Verdict:
    if host.comfy_cli is None:
        return Verdict("comfy node validate", ["comfy-cli is not installed beside this ComfyUI."], skipped=True)
    with tempfile.TemporaryDirectory(prefix="m3ddm-comfy-") as home:
        return Verdict("comfy node validate", comfy_cli.validate(host.comfy_cli, Path(home)))
