"""Start a real ComfyUI server with this pack in it, in folders of its own, and stop it again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from .client import Client
from .host import PACK, PACK_NAME, Host, clean_environment
from .report import Problem

# Where links are not allowed and the pack is copied instead, these stay behind.
_NOT_THE_PACK = (".git", "__pycache__", ".pytest_cache", ".ruff_cache", "demo_output", "test_output")


class Server:
    """A ComfyUI server on a free port, as a context manager.

    Its models, inputs, outputs and custom nodes lie in ``base``, a temporary folder that goes with it unless one is
    given. ``models`` maps a folder name ("vae") to files that are linked there; ``inputs`` are copied into the input
    folder. ``arguments`` go to ComfyUI's command line. ``log`` receives what the server prints.
    """

    def __init__(
        self,
        host: Host,
        *,
        base: Path | None = None,
        models: Mapping[str, Sequence[Path]] | None = None,
        inputs: Sequence[Path] = (),
        arguments: Sequence[str] = (),
        log: Path | None = None,
        start_timeout: float = 300.0,
    ) -> None:
        self.host = host
        self._temporary = base is None
        self.base = Path(tempfile.mkdtemp(prefix="m3ddm-server-")) if base is None else base
        self.log = log or self.base / "server.log"
        self._arguments = list(arguments)
        self._start_timeout = start_timeout
        for name in ("models", "input", "output", "temp", "user", "custom_nodes"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        link_folder(PACK, self.base / "custom_nodes" / PACK_NAME)
        for folder, files in (models or {}).items():
            for file in files:
                link_file(file, self.base / "models" / folder / file.name)
        for file in inputs:
            shutil.copyfile(file, self.base / "input" / file.name)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        if self._temporary:
            shutil.rmtree(self.base, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._process.pid

    @property
    def output(self) -> Path:
        """The folder that the server writes its results to."""
        return self.base / "output"

    def start(self) -> None:
        """Start it and wait until it answers; raises `Problem` with the end of its log where it does not."""
        port = _free_port()
        command = [str(self.host.python), str(self.host.path / "main.py"), "--port", str(port)]
        command += ["--listen", "127.0.0.1", "--base-directory", str(self.base), "--disable-auto-launch"]
        command += ["--database-url", "sqlite:///:memory:", "--disable-api-nodes"]
        command += ["--disable-all-custom-nodes", "--whitelist-custom-nodes", PACK_NAME]
        if self.host.device == "cpu":
            command += ["--cpu"]
        if self.host.frontend:
            command += ["--front-end-root", str(self.host.frontend)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command + self._arguments,
                cwd=self.base,
                env=clean_environment(HF_HUB_OFFLINE="1"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.client = Client(port)
        deadline = time.monotonic() + self._start_timeout
        while True:
            try:
                self.client.get("/system_stats", timeout=5.0)
                return
            except (urllib.error.URLError, OSError):
                pass
            if self._process.poll() is not None:
                raise Problem(f"ComfyUI ended while it was starting:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise Problem(f"ComfyUI did not answer within {self._start_timeout:.0f} s:\n{self.tail()}")
            time.sleep(0.25)

    def stop(self) -> None:
        """End the server; harmless when it is not running."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def tail(self, lines: int = 30) -> str:
        """The last lines of its log."""
        try:
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"


def link_folder(source: Path, target: Path) -> None:
    """Make ``target`` lead to ``source``: a symbolic link, a junction on Windows, a copy where neither is allowed."""
    if target.exists():
        return
    try:
        os.symlink(source, target, target_is_directory=True)
        return
    except (OSError, NotImplementedError):
        pass
    if sys.platform == "win32":
        answer = subprocess.run(["cmd", "/c", "mklink", "/J", str(target), str(source)], capture_output=True)
        if answer.returncode == 0:
            return
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_NOT_THE_PACK))


def link_file(source: Path, target: Path) -> None:
    """Make ``target`` lead to ``source`` without copying it where links are allowed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for way in (os.symlink, os.link, shutil.copyfile):
        try:
            way(source.absolute(), target)
            return
        except (OSError, NotImplementedError) as error:
            failure = error
    raise Problem(f"{source} could be neither linked nor copied to {target}: {failure}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
