"""The clips of one run in a journal, under keys of all that decides them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..sampling.clip import ClipConditions
from ..sampling.settings import SamplingSettings
from .digest import Unidentified, digest
from .store import Journal

FORMAT = 1
"""To be raised whenever sampling makes other latents of the same inputs, or an entry is written otherwise."""


def recipe(settings: SamplingSettings, seed: int, *network: Any) -> str:
    """Hash all that decides a clip beside its inputs: settings, seed (of samplers that draw noise on their way), and
    ``network``: its weights, its patches, and on what and in which precision it computes.

    How many clips are sampled at once is none of it. Raises `Unidentified`.
    """
    own = {name: value for name, value in settings.flat().items() if name != "clips_per_batch"}
    return digest((FORMAT, str(torch.__version__), own, seed, network))


def vae_recipe(*vae: Any) -> str:
    """Hash all that decides what a VAE makes of pictures and latents: ``vae``, its weights, and on what and in which
    precision it computes. Raises `Unidentified`.
    """
    return digest((FORMAT, str(torch.__version__), vae))


def device_name(device: torch.device | str) -> str:
    """What kind of device it is: each rounds in its own way."""
    device = torch.device(device)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def clips_in(journal: Journal | None, make_recipe: Callable[[], str]) -> ClipJournal | None:
    """The clips of a run in a journal, if there is one and it can be told what decides them; if it cannot, that is
    logged."""
    if journal is None:
        return None
    try:
        return ClipJournal(journal, make_recipe())
    except Unidentified as error:
        logging.warning("M3DDM: finished clips are not kept, and a run that is killed begins anew: %s.", error)
        return None


class ClipJournal:
    """A journal, for the clips that are made by one recipe.

    A key is a hash of the recipe and of the very tensors that the sampler is given: those of state, plan entry and seed
    alike, since they are made of nothing else.
    """

    def __init__(self, journal: Journal, recipe: str):
        self._journal, self._recipe = journal, recipe

    def keys(self, conditions: ClipConditions, start: Tensor, noise: Tensor) -> tuple[str, ...]:
        """Return the key of each clip of a batch, of which a sampler is given just this."""
        shared = digest((self._recipe, conditions.global_latents, conditions.fps))
        each = zip(conditions.masked_video, conditions.blank_video, start, noise, strict=True)
        return tuple(digest((shared, *tensors)) for tensors in each)

    def take(self, keys: Sequence[str]) -> Tensor | None:
        """Return the latents (b, 4, 16, h, w) of a batch, on the CPU, or None unless all of its clips are there.

        A batch is taken whole or not at all: in another batch rounding errors may differ, and a run that goes on is to
        end in the same bytes.
        """
        found = []
        for key in keys:
            latents = self._journal.take(key)
            if latents is None:
                return None
            found.append(latents)
        if not self._journal.taken:
            logging.info("M3DDM: taking up clips that an earlier run finished, from %s.", self._journal.folder)
        self._journal.taken += len(found)
        return torch.stack(found)

    def put(self, keys: Sequence[str], latents: Tensor) -> None:
        """Keep the latents (b, 4, 16, h, w) of a batch that was sampled and is finite."""
        for key, clip in zip(keys, latents, strict=True):
            self._journal.put(key, clip)
