"""What a worker does: it holds network and VAE once, and answers what it is asked. It knows nothing of Ray."""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoint import DTYPES
from ..journal.clips import device_name
from ..journal.weights import WeightsFile
from ..models import LoadedNetwork, Models, clip_sampler, load_models, load_network
from ..outpaint.clips import NonFiniteLatents
from ..sampling.clip import BranchInputs, Callback, ClipConditions, SampleClips
from ..sampling.memory import is_of_memory
from ..sampling.settings import SamplingSettings
from ..vae import load_vae
from .identity import own_identity
from .packets import (
    ASK,
    BRANCH,
    DECODE,
    DONE,
    ENCODE,
    FAILED,
    LATENTS,
    MEMORY,
    NOTE,
    OTHER,
    SAMPLE,
    STEP,
    pack,
    unpack,
    unpack_batch,
)
from .shared import Asked, SharedBranches

Answer = tuple[Any, ...]
"""See `packets`."""


class _Stopped(Exception):
    """Nobody waits for the answer any more."""


class _NoVAE:
    """Stands where a host has a VAE of its own."""

    def encode(self, given: Tensor) -> Tensor:
        """Raises ValueError."""
        raise ValueError("got no VAE, expected one to encode or decode")

    decode = encode


class Worker:
    """A network, and a VAE or none, in one process. ``files``: their paths, under "network" and "vae", and ``digests``
    those of the bytes that they are to hold; ``threads``: how many it computes with on a CPU."""

    def __init__(self, files: dict[str, str], digests: dict[str, str], device: str, dtype: str, threads: int):
        torch.set_num_threads(threads)
        self._files, self._digests = dict(files), digests
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = dtype
        self._network: LoadedNetwork | None = None
        self._models: Models | None = None
        self._stop = threading.Event()
        self._asked = Asked()
        self._most_clips: int | None = None

    def missing(self) -> list[str]:
        """The names of those files that this machine does not see and has not been sent."""
        lacking = []
        for name, path in self._files.items():
            sent = self._sent(name)
            if Path(path).exists():
                continue
            if sent.exists():
                self._files[name] = str(sent)
            else:
                lacking.append(name)
        return lacking

    def receive(self, name: str, part: bytes, last: bool) -> None:
        """Take the next part of a file that this machine does not see."""
        sent = self._sent(name)
        coming = sent.with_suffix(f".{id(self)}.part")
        with coming.open("ab") as file:
            file.write(part)
        if last:
            coming.replace(sent)

    def load(self) -> dict[str, Any]:
        """Load the two; returns who this is. Raises ValueError and OSError for files that are none."""
        network = self._network = load_network(self._files["network"], self._device, DTYPES[self._dtype])
        path = self._files.get("vae", "")
        self._models = load_models(network, load_vae(path, self._device) if path else _NoVAE())
        vae = WeightsFile.at(path).digest() if path else ""
        return {
            **own_identity(network.weights.digest(), vae, network.computes[1]),
            "device": device_name(self._device),
            "advice": network.advice.metadata(),
        }

    def stop(self) -> None:
        """Let go of what is being done."""
        self._stop.set()
        self._asked.give_up()

    def give(self, number: int, packed: bytes) -> None:
        """Take the answer to a question of that number, or `NOBODY`."""
        self._asked.answer(number, packed)

    def work(self, what: str, order: dict[str, Any], packed: bytes) -> Iterator[Answer]:
        """Do what is asked, and yield answers: every step, and at the end the result or what went wrong."""
        self._stop.clear()
        self._asked.begin()
        answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        # The sampler calls back after each step; this method gives it away. So the sampler has a thread of its own.
        thread = threading.Thread(target=self._answer, args=(what, order, packed, answers.put), daemon=True)
        thread.start()
        while True:
            answer = answers.get()
            yield answer
            if answer[0] in (DONE, FAILED):
                thread.join()
                return

    def _answer(self, what: str, order: dict[str, Any], packed: bytes, answer: Callable[[Answer], None]) -> None:
        try:
            answer((DONE, pack(result=self._do(what, order, packed, answer))))
        except NonFiniteLatents as error:
            answer((FAILED, LATENTS, str(error)))
        except Exception as error:
            answer((FAILED, MEMORY if is_of_memory(error) else OTHER, _in_one_line(error)))

    @torch.no_grad()
    def _do(self, what: str, order: dict[str, Any], packed: bytes, answer: Callable[[Answer], None]) -> Tensor:
        if what == ENCODE:
            return self._models.encode(unpack(packed)["input"])
        if what == DECODE:
            return self._models.decode(unpack(packed)["input"])
        if what == BRANCH:
            return BranchInputs(**unpack(packed)).evaluate(self._network)
        if what != SAMPLE:
            raise ValueError(f"got {what!r}, expected {SAMPLE}, {BRANCH}, {ENCODE} or {DECODE}")

        def heard(step: int, steps: int, denoised: Tensor) -> None:
            if self._stop.is_set():
                raise _Stopped
            answer((STEP, step, steps, pack(denoised=denoised)))

        def ask(branch: bytes) -> Callable[[], bytes]:
            return self._asked.ask(lambda number: answer((ASK, number, branch)))

        settings = SamplingSettings().changed(order["settings"])
        sample = clip_sampler(self._network, settings, partial(SharedBranches, ask=ask))
        return self._in_parts(sample, *unpack_batch(packed), heard, lambda text: answer((NOTE, text)))

    def _in_parts(
        self,
        sample: SampleClips,
        conditions: ClipConditions,
        start: Tensor,
        noise: Tensor,
        callback: Callback,
        note: Callable[[str], None],
    ) -> Tensor:
        """Sample a batch whole, or where memory is too short for it in halves, from then on."""
        size = len(start)
        if self._most_clips is None or size <= self._most_clips:
            try:
                return sample(conditions, start, noise, callback)
            except (MemoryError, RuntimeError) as error:
                if not is_of_memory(error) or size == 1:
                    raise
            self._most_clips = size // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            note(f"out of memory with {size} clips at once; samples {self._most_clips} at once from now on")
        parts, length = [], self._most_clips
        for first in range(0, size, length):
            rows = slice(first, first + length)
            own = ClipConditions(
                conditions.masked_video[rows], conditions.blank_video[rows], conditions.global_latents, conditions.fps
            )
            parts.append(self._in_parts(sample, own, start[rows], noise[rows], self._unheard, note))
        return torch.cat(parts)

    def _unheard(self, step: int, steps: int, denoised: Tensor) -> None:
        """The steps of a part say nothing of the batch that is asked for."""
        if self._stop.is_set():
            raise _Stopped

    def _sent(self, name: str) -> Path:
        """Where a file that was sent lies, the same for all workers of this machine."""
        suffix = Path(self._files[name]).suffix
        return Path(tempfile.gettempdir()) / f"m3ddm-{self._digests[name][:32]}{suffix}"


def _in_one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {'; '.join(lines)}" if lines else type(error).__name__
