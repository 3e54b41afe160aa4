"""The batches of clips of a wave: sampled one by one here, or side by side wherever there is room for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from torch import Tensor

from .clip import Callback, ClipConditions, SampleClips


class Batch(NamedTuple):
    """What a sampler of clips is given: conditions, and start latents and noise (b, 4, f, h, w)."""

    conditions: ClipConditions
    start: Tensor
    noise: Tensor
    callback: Callback


class WaveSampler(ABC):
    """Samples batches that do not depend on one another."""

    @abstractmethod
    def sample_wave(self, batches: Iterable[Batch]) -> Iterator[tuple[int, Tensor]]:
        """Yield the number of each batch, from 0 in the order they come, and its latents, as soon as it is done.

        ``batches`` are taken as they are needed: each is made when it is taken. Their callbacks are called where this
        iterator is advanced, never in another thread; what they raise ends all of them.
        """

    def towards(self, left: Callable[[], float]) -> WaveSampler:
        """Return this sampler for a video of which ``left()`` is still to be done: what is nearest to done comes first,
        where several wait."""
        return self


class OneByOne(WaveSampler):
    """Samples a batch when it is its turn."""

    def __init__(self, sample: SampleClips):
        self._sample = sample

    def sample_wave(self, batches: Iterable[Batch]) -> Iterator[tuple[int, Tensor]]:
        """As `WaveSampler` has it, in order."""
        for number, batch in enumerate(batches):
            yield number, self._sample(*batch)
