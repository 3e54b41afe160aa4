"""A MODEL whose clips are sampled by a fleet: the file that it was loaded from, at every worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ...m3ddm_core.checkpoint import DTYPES
from ...m3ddm_core.fleet.actor import Weights
from ...m3ddm_core.fleet.models import fleet_models
from ...m3ddm_core.fleet.on_ray import Where, ray_fleet
from ...m3ddm_core.models import Models
from .journal import PATCHED
from .sockets import FleetSocket


def fleet_input() -> io.Input:
    """The fleet of those who sample."""
    return FleetSocket.Input(
        "fleet",
        optional=True,
        tooltip="From M3DDM Fleet: clips are then sampled by its workers, with the weights of the file that the model "
        "was loaded from. Without it, here.",
    )


@contextmanager
def sampled_by(where: Where | None, patcher: Any, models: Models) -> Iterator[Models]:
    """Yield models whose clips a fleet samples, while it is there; the VAE stays ComfyUI's. The same without a fleet.

    Raises ValueError for a MODEL that is more than its file, and as `ray_fleet`.
    """
    if where is None:
        yield models
        return
    with ray_fleet(where, weights_of(patcher)) as fleet:
        theirs = fleet_models(fleet)
        yield replace(
            models,
            sampler=theirs.sampler,
            clips_at_once=theirs.clips_at_once,
            recipe=theirs.recipe,
            scenes_at_once=theirs.scenes_at_once,
        )


def weights_of(patcher: Any) -> Weights:
    """The file of a MODEL of ours, for workers. Raises ValueError where that is not all that the MODEL is."""
    patched = [name for name in PATCHED if not _is_empty(getattr(patcher, name))]
    if patched:
        raise ValueError(
            f"got a MODEL with {', '.join(patched)} beside a fleet, expected one straight from M3DDM Load Checkpoint: "
            "workers read its file. Take the nodes between them away, such as LoRA or M3DDM Tiled Model, or the fleet"
        )
    model = patcher.model
    dtype = model.manual_cast_dtype or model.get_dtype()
    names = [name for name, other in DTYPES.items() if other == dtype]
    if not names:
        raise ValueError(f"got a MODEL that computes in {dtype} beside a fleet, expected {', '.join(DTYPES)}")
    return Weights(str(model.model_config.weights.path), "", dtype=names[0])


def _is_empty(value: Any) -> bool:
    """Whether there is nothing in a value, or only what there is nothing in."""
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (list, tuple, set, frozenset)):
        return not value
    return all(_is_empty(part) for part in value)
