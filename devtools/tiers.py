"""``python run.py test``: the tiers of tests one after the other, each in processes of its own, and one closing line.

ComfyUI in a process changes it for good, so what must not see it (the core) and what loads it cannot share one.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from . import children, frontend, workers
from . import host as hosts
from .lint import lint
from .report import Problem, elapsed, say

PACK = hosts.PACK
NO_TESTS_COLLECTED = 5  # pytest's exit code
# "-m pytest" would put the current folder first on the path, where `import nodes` finds the pack instead of ComfyUI.
_LAUNCH = "import sys; sys.path[:] = [p for p in sys.path if p]; import pytest; sys.exit(pytest.main())"


@dataclass(frozen=True)
class Tier:
    """A folder or file of tests and the markers that pick from it; ``comfy`` tells whether they may know where ComfyUI
    lies, ``newest_frontend`` whether the host is to hand out the newest frontend instead of its own.
    """

    name: str
    folder: str
    markers: str
    comfy: bool
    newest_frontend: bool = False


TIERS = (
    Tier("core", "tests/core", "not golden", comfy=False),
    Tier("golden", "tests/core/test_golden.py", "golden", comfy=False),
    Tier("comfy", "tests/comfy", "", comfy=True),
    Tier("e2e", "tests/e2e", "not browser", comfy=True),
    Tier("browser", "tests/e2e", "browser", comfy=True),
    Tier("newest", "tests/e2e", "browser", comfy=True, newest_frontend=True),
)
NAMES = ("lint", *(tier.name for tier in TIERS))


@dataclass
class Counts:
    """How many tests passed, failed (errors among them) and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: Counts) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def run_tiers(names: list[str], arguments: list[str]) -> int:
    """Run the tiers named, all where none is, with ``arguments`` added to pytest's; 0 when nothing failed.

    A test file, or ``file::test``, among the names takes the place of the tier's whole folder. Raises `Problem` where
    a name is neither a tier's nor a file's, or where the tests were left out of the package.
    """
    files = [name for name in names if (PACK / name.split("::")[0]).exists() and name not in NAMES]
    names = [name for name in names if name not in files]
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise Problem(f"got {', '.join(unknown)}, expected test files or tiers: {', '.join(NAMES)}")
    chosen = [name for name in NAMES if not names or name in names]
    if chosen != ["lint"] and not (PACK / "tests").is_dir():
        raise Problem(
            f"got a pack without its tests ({PACK}), as the registry has it, expected a clone; clone the repository"
        )
    host = hosts.find(hosts.TEST_MODULES)
    say(f"Host: {host}")
    spread = workers.possible(host.python)
    if not spread:
        say("pytest-xdist is not installed beside this ComfyUI: every tier runs in one process, which takes longer.")
    total, lines, started = Counts(), [], time.monotonic()
    for name in chosen:
        begun = time.monotonic()
        say(f"\n== {name} ==")
        counts = _lint(host) if name == "lint" else _pytest(host, _tier(name), files, arguments, spread)
        lines.append(f"  {name:8s} {counts}  [{elapsed(time.monotonic() - begun)}]")
        total.add(counts)
    say("\n" + "\n".join(lines))
    say(f"  all      {elapsed(time.monotonic() - started)}")
    say(str(total))
    return 1 if total.failed or not total.passed else 0


def _tier(name: str) -> Tier:
    return next(tier for tier in TIERS if tier.name == name)


def _pytest(host: hosts.Host, tier: Tier, files: list[str], arguments: list[str], spread: bool) -> Counts:
    count = _workers(host, tier, files, arguments) if spread else 1
    environment = hosts.clean_environment(**workers.environment(count))
    environment.pop("COMFYUI_PATH", None)
    if tier.comfy:
        environment["COMFYUI_PATH"] = str(host.path)
        if host.comfy_cli:
            environment["M3DDM_COMFY_CLI"] = str(host.comfy_cli)
    if tier.newest_frontend:
        folder = frontend.newest(host.python)
        say(f"Frontend: {folder.name}")
        environment["M3DDM_FRONTEND"] = str(folder)
    with tempfile.TemporaryDirectory(prefix="m3ddm-tests-") as scratch:
        report = Path(scratch) / "report.xml"
        command = [str(host.python), "-c", _LAUNCH, *(files or [tier.folder]), "-m", tier.markers]
        # These two are there for ComfyUI's own tests, and warn in a run that has no use for them.
        command += ["-p", "no:asyncio", "-p", "no:aiohttp", f"--junitxml={report}", "--durations=5"]
        command += [*(workers.options(count) if spread else ()), *arguments]
        code = children.run(command, cwd=PACK, env=environment, stdin=subprocess.DEVNULL).returncode
        counts = _read(report)
    if code == NO_TESTS_COLLECTED:
        # A filter of one's own may well leave a tier empty; without one, an empty tier is a fault.
        if not arguments and not files:
            say(f"The tier {tier.name} holds no test.")
            counts.failed += 1
    elif code != 0 and not counts.failed:
        say(f"pytest ended with code {code}.")
        counts.failed += 1
    return counts


def _workers(host: hosts.Host, tier: Tier, files: list[str], arguments: list[str]) -> int:
    """One for what is named, to be seen at work, and where a graphics card would be shared: some measure its memory."""
    alone = files or (tier.comfy and host.device != "cpu")
    return 1 if alone else workers.number(arguments)


def _read(report: Path) -> Counts:
    """The counts of a JUnit report; none where pytest wrote no report."""
    if not report.is_file():
        return Counts()
    counts = Counts()
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            counts.failed += 1
        elif case.find("skipped") is not None:
            counts.skipped += 1
        else:
            counts.passed += 1
    return counts


def _lint(host: hosts.Host) -> Counts:
    """Each check of the lint tier counted as a test."""
    counts = Counts()
    for check, said, skipped in lint(host):
        say("\n".join([f"{check}: {'skipped' if skipped else 'failed' if said else 'passed'}", *said]))
        counts.add(Counts(skipped=1) if skipped else Counts(failed=1) if said else Counts(passed=1))
    return counts
