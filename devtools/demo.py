"""``python run.py demo``: a real clip through the template *Step by step*, in a real server, through its API."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from . import children, templates, weights, workflow
from . import host as hosts
from .client import Progress, Prompt, PromptError
from .report import LiveLine, Problem, bar, elapsed, say
from .server import Server

CLIP = hosts.PACK / "assets" / "big_buck_bunny.mp4"
WORKFLOW = templates.titled("Step by step")
STRIP = hosts.PACK / "devtools" / "inside" / "strip.py"

TIMEOUT = 24 * 3600.0


def demo(
    source: Path | None, output: Path, checkpoint: Path | None, vae: Path | None, steps: int | None
) -> dict[str, Any]:
    """Run it and return what is printed at the end: the files, their sizes and the seconds each part took.

    Raises `Problem` where an input is missing or a node fails.
    """
    started = time.monotonic()
    source = source or CLIP
    if not source.is_file():
        raise Problem(f"--input: got {source}, where no file lies; expected a video file")
    if steps is not None and steps < 1:
        raise Problem(f"--steps: got {steps}, expected 1 or more")
    host = hosts.find()
    say(f"Host: {host}")
    output.mkdir(parents=True, exist_ok=True)
    chosen = weights.choose(host, checkpoint, vae)
    if chosen.small:
        say("No M3DDM checkpoint was found: the pack's own small one stands in for it. It is a demonstration, not the")
        say("published model. To see what that makes of a border:")
        say(weights.HOW_TO_GET)
    else:
        say(f"Checkpoint: {chosen.checkpoint}\nVAE: {chosen.vae}")
    models = {} if chosen.small else {"diffusion_models": [chosen.checkpoint], "vae": [chosen.vae]}
    log = output / "server.log"
    log.unlink(missing_ok=True)
    say("Starting ComfyUI")
    with Server(host, models=models, inputs=[source], log=log) as server:
        prompt = workflow.load(WORKFLOW, server.client.object_info())
        _patch(prompt, source, chosen, steps)
        video, seconds = _run(server, prompt, output / f"{source.stem}_outpainted.mp4")
    return _summary(host, source, video, output, seconds, time.monotonic() - started)


def _patch(prompt: Prompt, source: Path, chosen: weights.Weights, steps: int | None) -> None:
    """Put the demo's files in the place of the workflow's, and what the checkpoint says of its use.

    The settings are set one by one, which is the preset *checkpoint* spelled out, so that ``steps`` may differ.
    """
    workflow.set_inputs(prompt, "LoadVideo", file=source.name)
    workflow.set_inputs(prompt, "M3DDM_LoadCheckpoint", checkpoint=chosen.checkpoint.name)
    workflow.replace(prompt, "VAELoader", "M3DDM_LoadVAE", vae_name=chosen.vae.name)
    settings, canvas_size = weights.advice(chosen.checkpoint)
    if steps is not None:
        settings["steps"] = steps
    workflow.set_inputs(prompt, "M3DDM_SamplingSettings", **settings, preset="custom")
    if canvas_size is not None:
        workflow.set_inputs(prompt, "M3DDM_EdgeMask", canvas_size=canvas_size)


def _run(server: Server, prompt: Prompt, target: Path) -> tuple[Path, float]:
    """Run the prompt under a live line, fetch the video it saved, and return that and the seconds."""
    show = _Follower(prompt)
    try:
        result = server.client.run(prompt, show, timeout=TIMEOUT)
    except PromptError as error:
        raise Problem(f"ComfyUI could not run the workflow.\n{error}\nIts whole log: {server.log}") from error
    except (ConnectionError, TimeoutError) as error:
        raise Problem(f"{error} The end of its log:\n{server.tail()}") from error
    except KeyboardInterrupt:
        server.client.interrupt()
        raise
    finally:
        show.done()
    files = [file for node in workflow.of_type(prompt, "SaveVideo") for file in result.files(node)]
    if not files:
        raise Problem(f"got no video from the workflow, expected one; see ComfyUI's log, {server.log}")
    return server.client.fetch(files[0], target), result.seconds


class _Follower:
    """Shows the node at work with a bar, and leaves a line with its time when the next one begins."""

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt
        self._line: LiveLine | None = None
        self._node = ""
        self._finished = 0

    def __call__(self, progress: Progress) -> None:
        if progress.node != self._node:
            self.done()
            self._node, self._line = progress.node, LiveLine(every=5.0)
        title = self._title()
        if progress.maximum:
            counted = f"{progress.value:g}/{progress.maximum:g}"
            self._line.show(f"{title}  {bar(progress.value, progress.maximum)} {counted}")
        else:
            self._line.show(title)

    def _title(self) -> str:
        name = self._prompt.get(self._node, {}).get("_meta", {}).get("title", self._node)
        return f"{self._finished + 1:2d}/{len(self._prompt)} {name}"

    def done(self) -> None:
        """End the line of the node at work, if there is one."""
        if self._line is not None:
            self._line.done(self._title())
            self._finished += 1
            self._line = None


def _summary(
    host: hosts.Host, source: Path, video: Path, output: Path, seconds: float, in_all: float
) -> dict[str, Any]:
    """Draw the strip, print what was made and return it."""
    strip = output / "before_after.png"
    answer = children.run(
        [str(host.python), str(STRIP), str(source), str(video), str(strip)],
        env=hosts.clean_environment(PYTHONPATH=str(hosts.PACK)),
        capture_output=True,
        text=True,
    )
    if answer.returncode != 0:
        raise Problem(f"The strip could not be drawn from {video}:\n{answer.stderr.strip()[-1500:]}")
    facts = json.loads(answer.stdout.strip().splitlines()[-1])
    say()
    say(f"before   {_describe(facts['source'])}  {source}")
    say(f"after    {_describe(facts['result'])}  {video}")
    say(f"strip    {strip}")
    say(f"time     {elapsed(seconds)} for the workflow, {elapsed(in_all)} in all")
    return facts | {"video": str(video), "strip": str(strip), "workflow_seconds": seconds, "seconds": in_all}


def _describe(facts: dict[str, Any]) -> str:
    sound = "with sound" if facts["sound"] else "no sound"
    return f"{facts['width']}x{facts['height']}, {facts['frames']} frames, {facts['fps']:g} fps, {sound}"
