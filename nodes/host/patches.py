"""What patches of a MODEL do to M3DDM's guidance, and a word about those that do nothing.

ComfyUI's functions for guidance know two answers of the network, positive and negative, and one scale. M3DDM's
guidance is such a pair too: see `as_pair`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import comfy.model_management
from einops import rearrange, repeat
from torch import Tensor

from ...m3ddm_core.sampling.guidance import Branch, combine

UNHEEDED_OPTIONS = {
    "denoise_mask_function": "M3DDM samples without a noise mask",
    "sampler_calc_cond_batch_function": "M3DDM evaluates three conditions in its own way",
}
"""Options of a MODEL that are not read, and why."""


class Notices:
    """Warnings about patches, each given once."""

    def __init__(self) -> None:
        self._given: set[tuple[str, str]] = set()

    def clear(self) -> None:
        """Forget what was said: another level or video begins."""
        self._given.clear()

    def ineffective(self, patch: str, why: str) -> None:
        """Say that a patch does nothing, and why, if that was not said."""
        if (patch, why) not in self._given:
            self._given.add((patch, why))
            logging.warning("M3DDM: the patch %s has no effect on this MODEL: %s. Remove it.", patch, why)


def name_of(function: Callable) -> str:
    """What made a patch, by which a user knows it: the class of the node, or the function itself."""
    name = getattr(function, "__qualname__", "") or type(function).__name__
    return name.split(".")[0]


def unheeded_in_network(transformer_options: Mapping[str, Any]) -> Iterator[str]:
    """Names of the patches for layers of other networks that come with an evaluation."""
    for functions in transformer_options.get("patches", {}).values():
        yield from map(name_of, functions)
    for blocks in transformer_options.get("patches_replace", {}).values():
        yield from map(name_of, blocks.values())


class Pair(NamedTuple):
    """Guidance of two branches: ``negative + scale * (positive - negative)``."""

    positive: Tensor
    negative: Tensor
    scale: float


def as_pair(predictions: Mapping[Branch, Tensor], weights: Mapping[Branch, float]) -> Pair | None:
    """M3DDM's guidance as one of two branches, or None where it is none: without guidance, or with a scale of one.

    The positive is the branch that is shown most, the scale its weight w; the negative is the mean of the others, by
    their weights, which add up to 1 - w. With the published scales that is (2 e(c,0) + e(0,0)) / 3, and the scale is 4.
    """
    weighed = [branch for branch in Branch if weights[branch] != 0]
    scale = weights[weighed[0]]
    if len(weighed) == 1 or scale == 1:
        return None
    rest = {branch: weights[branch] / (1 - scale) for branch in weighed[1:]}
    negative = combine({branch: predictions[branch] for branch in rest}, rest)
    return Pair(predictions[weighed[0]], negative, scale)


class GuidancePatches:
    """The functions of a MODEL's options that change how the answers are combined, as far as they can be heeded.

    They are made for pictures, or for videos whose frames lie along the batch: they are given frames ``(b f) c h w``.
    """

    def __init__(self, notices: Notices, model_options: Mapping[str, Any]):
        self._notices = notices
        self._failed: set[Callable] = set()
        for option, why in UNHEEDED_OPTIONS.items():
            if option in model_options:
                notices.ineffective(name_of(model_options[option]), why)
        self.act_on_guidance = bool(_before_and_at(model_options))
        """Whether there are functions for which the clips must be sampled one by one: they remember answers from one
        noise level to the next, or count frames along the batch."""

    def combine(
        self, predictions: Mapping[Branch, Tensor], weights: Mapping[Branch, float], asked: Mapping[str, Any]
    ) -> Tensor:
        """Clean latents (b, 4, f, h, w) under guidance, through the functions where there is a pair to give them.

        ``asked``: what ComfyUI hands to such functions of the evaluation itself: ``conds`` (positive and negative),
        ``input`` (b, 4, f, h, w), ``sigma`` (b,), ``model`` and ``model_options``.
        """
        options = asked["model_options"]
        pair = as_pair(predictions, weights) if _before_and_at(options) else None
        if pair is None:
            # Outside the guided interval there is nothing to change; a scale of one beside another is no pair.
            if sum(weight != 0 for weight in weights.values()) > 1:
                for function in _before_and_at(options):
                    self._notices.ineffective(name_of(function), "it needs a global_scale other than 1")
            return combine(predictions, weights)
        count = pair.positive.shape[2]
        positive, negative, x = (_frames(latents) for latents in (pair.positive, pair.negative, asked["input"]))
        told = {**asked, "input": x, "sigma": repeat(asked["sigma"], "b -> (b f)", f=count), "cond_scale": pair.scale}
        told["timestep"] = told["sigma"]
        for function in options.get("sampler_pre_cfg_function", []):
            given = {**told, "conds_out": [positive, negative]}
            positive, negative, *_ = self._call(function, given, (positive, negative))
        plain = negative + pair.scale * (positive - negative)
        function = options.get("sampler_cfg_function")
        if function:
            given = {**told, "cond": x - positive, "uncond": x - negative}
            given |= {"cond_denoised": positive, "uncond_denoised": negative}
            given |= {"input_cond": asked["conds"][0], "input_uncond": asked["conds"][1]}
            plain = x - self._call(function, given, x - plain)
        return rearrange(plain, "(b f) c h w -> b c f h w", f=count)

    def _call(self, function: Callable, given: dict[str, Any], otherwise: Any) -> Any:
        """What a function makes of its arguments, or ``otherwise`` where it cannot work with this network."""
        if function in self._failed:
            return otherwise
        try:
            return function(given)
        except comfy.model_management.OOM_EXCEPTION:
            raise
        except Exception as error:  # it is made for other networks, and may fail in any way
            self._failed.add(function)
            self._notices.ineffective(name_of(function), f"it cannot work with M3DDM ({type(error).__name__}: {error})")
            return otherwise

    def after(self, denoised: Tensor, given: Mapping[str, Any]) -> Tensor:
        """The guided latents (b, 4, f, h, w) through the functions that come last."""
        for function in given["model_options"].get("sampler_post_cfg_function", []):
            denoised = self._call(function, {**given, "denoised": denoised}, denoised)
        return denoised


def _before_and_at(model_options: Mapping[str, Any]) -> list[Callable]:
    """The functions that come before the answers are combined, and the one that combines them."""
    return [
        *model_options.get("sampler_pre_cfg_function", []),
        *filter(None, [model_options.get("sampler_cfg_function")]),
    ]


def _frames(latents: Tensor) -> Tensor:
    return rearrange(latents, "b c f h w -> (b f) c h w")
