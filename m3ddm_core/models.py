"""The networks as the pipeline calls them: the library's own, loaded from files, or those that a host brings."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .checkpoint import build_unet, read_checkpoint
from .journal.clips import device_name, recipe, vae_recipe
from .journal.digest import Unidentified
from .journal.weights import WeightsFile
from .sampling.advice import Advice, read_advice
from .sampling.clip import Branches, MakeBranches, Network, SampleClips, guided_sampler
from .sampling.placed import PlacedNetwork
from .sampling.prediction import noise_network
from .sampling.settings import SamplingSettings
from .sampling.solvers import make_sampler
from .sampling.wave import WaveSampler
from .vae import VAE, Decode, Encode


def _unidentified(settings: SamplingSettings, seed: int) -> str:
    raise Unidentified("the network was not loaded from a file, so that it cannot be told from others")


def _unidentified_vae() -> str:
    raise Unidentified("the VAE was not loaded from a file, so that it cannot be told from others")


@dataclass(frozen=True)
class Models:
    """The two networks as callables, wherever they run: `load_models` gives the library's own, ComfyUI brings its own.

    ``encode``: frames (n, h, w, 3), 0..1, to latents (n, 4, h / 8, w / 8) in model space, and ``decode`` back.
    ``sampler(settings, seed)`` makes a sampler of clips. ``clips_at_once(settings, h, w)``: how many clips of latents
    of that height and width it is to be given side by side. ``advice``: what the checkpoint says it is best used with.
    ``recipe(settings, seed)``: for a journal, a hash of all that decides what the sampler makes of its inputs. It
    raises `Unidentified` where that cannot be told. ``scenes_at_once``: how many scenes are to be sampled side by side,
    by samplers that are a `WaveSampler`. ``vae_recipe()``: for a journal too, a hash of all that decides what
    ``encode`` and ``decode`` make of theirs; it raises the same.
    """

    encode: Encode
    decode: Decode
    sampler: Callable[[SamplingSettings, int], SampleClips | WaveSampler]
    clips_at_once: Callable[[SamplingSettings, int, int], int]
    advice: Advice = field(default_factory=Advice)
    recipe: Callable[[SamplingSettings, int], str] = _unidentified
    scenes_at_once: int = 1
    vae_recipe: Callable[[], str] = _unidentified_vae


@dataclass(frozen=True)
class LoadedNetwork:
    """A network that predicts noise, what its checkpoint says it is best used with, and which file that is.

    ``computes``: on what kind of device, and in which dtype.
    """

    network: Network
    advice: Advice
    weights: WeightsFile
    computes: tuple[str, str]

    def encode_global(self, latents: Tensor) -> Tensor:
        """As `Network` has it."""
        return self.network.encode_global(latents)

    def __call__(self, x: Tensor, timesteps: Tensor, global_tokens: Tensor, fps: Tensor) -> Tensor:
        """As `Network` has it."""
        return self.network(x, timesteps, global_tokens, fps)


def load_network(
    path: str | os.PathLike[str], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> LoadedNetwork:
    """Load a checkpoint in any form that `read_checkpoint` takes, as a network that predicts noise.

    It computes in ``dtype`` on ``device`` and answers where, and as what, it is asked. Raises `CheckpointError`, and
    ValueError for advice in the file that cannot be followed.
    """
    weights = WeightsFile.at(path)
    checkpoint = read_checkpoint(path)
    advice = read_advice(checkpoint.metadata)
    network = build_unet(checkpoint, dtype=dtype, device=device).requires_grad_(False)
    predicting = noise_network(PlacedNetwork(network, device, dtype), checkpoint.prediction_type)
    return LoadedNetwork(predicting, advice, weights, (device_name(device), str(dtype)))


def clip_sampler(network: Network, settings: SamplingSettings, branches: MakeBranches = Branches) -> SampleClips:
    """Make the sampler of clips that settings ask for. Raises ValueError for a solver that cannot be made of them."""
    solver = make_sampler(settings.sampler, settings.scheduler, steps=settings.steps, denoise=settings.denoise)
    return guided_sampler(network, settings.guidance, solver, branches)


def load_models(network: Network, vae: VAE) -> Models:
    """The library's own way to run a network and a VAE, for one clip at a time unless settings say otherwise.

    A network that is not from `load_network` is used as the published one is, where settings leave that open.
    """

    def sampler(settings: SamplingSettings, seed: int) -> SampleClips:
        return clip_sampler(network, settings)

    def clips_at_once(settings: SamplingSettings, height: int, width: int) -> int:
        return settings.clips_per_batch or 1

    def vae_made_by() -> str:
        weights = getattr(vae, "weights", None)
        return _unidentified_vae() if weights is None else vae_recipe(weights.digest(), device_name(vae.device))

    if not isinstance(network, LoadedNetwork):
        return Models(vae.encode, vae.decode, sampler, clips_at_once, vae_recipe=vae_made_by)

    def made_by(settings: SamplingSettings, seed: int) -> str:
        return recipe(settings, seed, network.weights.digest(), network.computes)

    return Models(vae.encode, vae.decode, sampler, clips_at_once, network.advice, made_by, vae_recipe=vae_made_by)
