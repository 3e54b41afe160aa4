"""ComfyUI's own execution tests, which come with it, still pass in a ComfyUI that has the pack installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from devtools.host import PACK, PACK_NAME, Host, clean_environment
from devtools.server import link_folder

pytestmark = [pytest.mark.server, pytest.mark.slow]

NEEDED = ("pytest_asyncio", "pytest_aiohttp", "websocket")


@pytest.fixture
def comfyui(host: Host, tmp_path: Path) -> Path:
    """A copy of the host with the pack, and nothing else, among its custom nodes.

    The tests start ``main.py`` themselves, with the folders beside it, so the host itself would have to be changed.
    What Python has compiled is copied too. For a start they wait four seconds, five times: too little for a busy
    machine, and too long for the others.
    """
    if not (host.path / "tests" / "execution").is_dir():
        pytest.skip(f"ComfyUI in {host.path} came without its tests")
    copy = tmp_path / "ComfyUI"
    left_out = {"models", "output", "input", "temp", "user", "custom_nodes", ".git", "venv", ".venv"}

    def ignore(folder: str, names: list[str]) -> set[str]:
        return left_out & set(names) if Path(folder) == host.path else set()

    shutil.copytree(host.path, copy, ignore=ignore)
    for name in ("models", "input", "custom_nodes"):
        (copy / name).mkdir()
    for file in (copy / "tests" / "execution").glob("test_*.py"):
        text = file.read_text(encoding="utf-8")
        text = text.replace("n_tries = 5\n", "n_tries = 300\n").replace("time.sleep(4)\n", "time.sleep(1)\n")
        file.write_text(text, encoding="utf-8")
    link_folder(PACK, copy / "custom_nodes" / PACK_NAME)
    return copy


def test_comfyuis_own_execution_tests_pass(comfyui: Path, host: Host) -> None:
    code = "import importlib.util, sys; sys.exit(any(importlib.util.find_spec(n) is None for n in sys.argv[1:]))"
    if subprocess.run([str(host.python), "-c", code, *NEEDED]).returncode != 0:
        pytest.skip(f"ComfyUI's tests need {', '.join(NEEDED)}")
    # They call `python`, whichever comes first on the path.
    path = os.pathsep.join((str(host.python.parent), os.environ.get("PATH", "")))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    report = comfyui / "report.xml"
    command = [str(host.python), "-m", "pytest", "tests/execution", "-q", "--port", str(port), f"--junitxml={report}"]
    answer = subprocess.run(
        [*command, "--skip-timing-checks", "--output_dir", str(comfyui / "output")],
        cwd=comfyui,
        env=clean_environment(PATH=path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=3600,
    )
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    bad = [case.get("name") for case in cases if case.find("failure") is not None or case.find("error") is not None]
    assert answer.returncode == 0 and not bad, f"{bad}\n{answer.stdout[-5000:]}"
    ran = [case for case in cases if case.find("skipped") is None]
    assert len(ran) > 100
    # They would pass as well with a pack that could not be loaded.
    assert PACK_NAME in answer.stdout and "Cannot import" not in answer.stdout
