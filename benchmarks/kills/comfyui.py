"""Outpaint Video and Save Video in real ComfyUI servers, one after another on the same folders."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.material import SIDE
from devtools import host as hosts
from devtools import templates, workflow
from devtools.client import Prompt
from devtools.server import Server

from .way import Due, Run

WORKFLOW = templates.titled("Outpaint a video")
TELLER = Path(__file__).with_name("teller.py")
VAE = "m3ddm_demo_vae.safetensors"
LIMIT = 3600.0
"""Seconds after which a start or a run has failed, on a machine that has other work too."""


class ComfyUI:
    """Servers with the pack in them; ``steps`` of each clip, ``seen`` as in the node, ``width`` of the border on
    either side, in pixels.

    ``host``: the ComfyUI to start; by default the one that `run.py` uses, which is made where there is none.
    """

    def __init__(
        self,
        folder: Path,
        source: Path,
        network: Path,
        steps: int,
        seen: str,
        width: int = 12,
        host: hosts.Host | None = None,
    ):
        self.host = host or hosts.find()
        self.base, self.network, self.source = folder / "comfyui", network, source
        self.out, self.journal = self.base / "output", self.base / "user" / "__m3ddm" / "journal"
        self.steps, self.seen, self.width = steps, seen, width
        teller = self.base / "custom_nodes" / TELLER.stem
        teller.mkdir(parents=True)
        shutil.copyfile(TELLER, teller / "__init__.py")
        self.told = teller / "begun"

    def run(self, due: Due | None = None) -> Run:
        """See `Way`."""
        import psutil

        self.told.write_bytes(b"")
        # What an earlier server was given is still there.
        first = not (self.base / "input" / self.source.name).exists()
        files = {"models": {"diffusion_models": [self.network]}, "inputs": [self.source]} if first else {}
        whitelist = ("--whitelist-custom-nodes", hosts.PACK_NAME, TELLER.stem)
        with Server(self.host, base=self.base, arguments=whitelist, start_timeout=LIMIT, **files) as server:
            prompt = self._prompt(server)
            process = psutil.Process(server.pid)
            start = sum(process.cpu_times()[:2])

            def computed() -> float:
                return sum(process.cpu_times()[:2]) - start

            begun = time.monotonic()
            killed = self._follow(server, server.client.queue(prompt), due, computed)
            # Of a process that has ended, until its parent asks for it, the system still tells.
            seconds, cpu = time.monotonic() - begun, computed()
        return Run(seconds, cpu, len(self.told.read_bytes()), killed, start)

    def forget(self) -> None:
        """Remove the journal, which a server keeps when a video is whole."""
        shutil.rmtree(self.journal, ignore_errors=True)

    def _prompt(self, server: Server) -> Prompt:
        prompt = workflow.load(WORKFLOW, server.client.object_info())
        workflow.set_inputs(prompt, "LoadVideo", file=self.source.name)
        workflow.set_inputs(prompt, "M3DDM_LoadCheckpoint", checkpoint=self.network.name)
        workflow.set_inputs(prompt, "M3DDM_LoadVAE", vae_name=VAE)
        # Unguided, for one evaluation a step: what a clip takes is not what is measured.
        scales = {"context_scale": 1.0, "global_scale": 1.0}
        workflow.set_inputs(prompt, "M3DDM_SamplingSettings", preset="custom", steps=self.steps, **scales)
        workflow.set_inputs(prompt, "M3DDM_SamplingSettings", sampler="pndm", clips_per_batch=1)
        border = {"left": self.width, "right": self.width, "top": 0, "bottom": 0}
        workflow.set_inputs(prompt, "M3DDM_OutpaintVideo", target="pixels", canvas_size=SIDE, seen=self.seen, **border)
        workflow.set_inputs(prompt, "SaveVideo", filename_prefix="out")
        return prompt

    def _follow(self, server: Server, prompt_id: str, due: Due | None, computed: Callable[[], float]) -> bool:
        """Wait for the end of a prompt, or kill the server when that is due; returns whether it was killed."""
        deadline, asked = time.monotonic() + LIMIT, 0.0
        while time.monotonic() < deadline:
            if due is not None and due(computed()):
                os.kill(server.pid, signal.SIGKILL)
                return True
            if time.monotonic() - asked > 0.5:
                asked = time.monotonic()
                entry = server.client.get(f"/history/{prompt_id}").get(prompt_id)
                if entry and entry["status"]["status_str"] == "success":
                    return False
                if entry:
                    raise RuntimeError(f"the prompt failed:\n{server.tail()}")
            time.sleep(0.01)
        raise RuntimeError(f"the prompt did not end in {LIMIT:.0f} s:\n{server.tail()}")
