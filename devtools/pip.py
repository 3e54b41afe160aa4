"""Run pip so that one sees how far it is, and failures say what to do."""

from __future__ import annotations

import platform
import queue
import re
import subprocess
import threading
from pathlib import Path

from . import children
from .report import LiveLine, Problem

# Where the index answers nothing at all, pip's last word is that there are no versions.
_UNREACHABLE = r"Name or service not known|name resolution|NewConnectionError|ConnectTimeout|ProxyError|versions: none"


def run(python: Path, arguments: list[str | Path], title: str, log: Path) -> None:
    """Run ``python -m pip ARGUMENTS`` under a live line; its whole output is appended to ``log``.

    Raises `Problem` with pip's errors and the remedy where it fails.
    """
    command = [str(python), "-m", "pip", *map(str, arguments), "--disable-pip-version-check", "--no-input"]
    command += ["--progress-bar", "off"]
    line = LiveLine()
    line.show(title, force=True)
    doing, said = title, []
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    options |= {"text": True, "encoding": "utf-8", "errors": "replace"}
    with children.started(command, **options) as process, log.open("a", encoding="utf-8") as file:
        output: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_read, args=(process, output), daemon=True).start()
        file.write(f"\n$ {' '.join(command)}\n")
        while True:
            try:
                text = output.get(timeout=1.0)
            except queue.Empty:
                line.show(doing)  # a download of gigabytes says nothing meanwhile: let the time run on
                continue
            if text is None:
                break
            file.write(text)
            file.flush()
            said.append(text.strip())
            doing = _condense(text) or doing
            line.show(doing)
        code = process.wait()
    if code != 0:
        line.done()
        raise Problem(_failure(title, said, log))
    line.done(title)


def _read(process: subprocess.Popen[str], output: queue.Queue[str | None]) -> None:
    for text in process.stdout:
        output.put(text)
    output.put(None)


def _condense(text: str) -> str:
    """The part of one line of pip's output that tells how far it is, or an empty string."""
    words = r"Collecting|Downloading|Using cached|Building wheel for|Installing collected packages"
    match = re.match(rf"\s*({words})\b(.*)", text)
    if not match:
        return ""
    verb, rest = match.groups()
    if verb == "Installing collected packages":
        return f"Installing {rest.count(',') + 1} packages (this takes longest)"
    rest = rest.split("/")[-1] if verb in ("Downloading", "Using cached") else rest.split(" (from")[0]
    return f"{verb} {rest.strip()}"


def _failure(title: str, said: list[str], log: Path) -> str:
    text = "\n".join(said[-200:])
    if "No space left on device" in text:
        remedy = "The disk is full: free some space, or set M3DDM_CACHE to a folder on another disk."
    elif re.search(_UNREACHABLE, text):
        remedy = (
            "The package index cannot be reached: check the network (and PIP_INDEX_URL, HTTPS_PROXY), then start again."
        )
    elif "No matching distribution" in text:
        remedy = (
            f"The package index has no build for Python {platform.python_version()} on {platform.system()} "
            f"{platform.machine()}. Another Python version may help, or a ComfyUI of your own in COMFYUI_PATH."
        )
    else:
        remedy = "Starting again repeats it from the beginning."
    errors = [line for line in said if line.startswith("ERROR")] or said[-6:]
    return f"{title}: pip failed.\n  " + "\n  ".join(errors[-6:]) + f"\n{remedy}\nAll of pip's output: {log}"
