"""One clip through ComfyUI's samplers, under guidance from masked video and global frames."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

import comfy.k_diffusion.sampling
import comfy.model_management
import comfy.samplers
import torch
from torch import Tensor

from ...m3ddm_core.canvas.placement import LATENT_SCALE
from ...m3ddm_core.canvas.quoted import quoted
from ...m3ddm_core.sampling.clip import Callback, ClipConditions, SampleClips
from ...m3ddm_core.sampling.guidance import Branch, Guidance, GuidanceRun
from ...m3ddm_core.sampling.pndm import pndm_timesteps, sample_pndm
from ...m3ddm_core.sampling.settings import SamplingSettings
from ...m3ddm_core.sampling.solvers import PNDM
from .model import condition, notices_of
from .patches import GuidancePatches

READ_BY_OTHERS = (Branch.FULL, Branch.UNCONDITIONAL)
"""What samplers of the CFG++ kind and functions that patch the guidance read. They say so by
``disable_cfg1_optimization``, and then both are there at every noise level."""
COND_NAMES = {Branch.FULL: "positive", Branch.MASKED_VIDEO: "masked video", Branch.UNCONDITIONAL: "negative"}
ONE_CLIP_SAMPLERS = frozenset({"dpm_adaptive"})
"""Their step size follows the error over the whole batch, so that clips sampled together would change one another."""


class M3DDMGuider(comfy.samplers.CFGGuider):
    """ComfyUI's guider with three conditions; a branch of weight zero is not evaluated."""

    def __init__(self, patcher: Any, conditions: ClipConditions, guidance: Guidance, patches: GuidancePatches):
        super().__init__(patcher)
        self.guidance = guidance
        self.patches = patches
        self.one_by_one = False
        self.set_cfg(guidance.global_scale)
        self.inner_set_conds({COND_NAMES[branch]: [[None, condition(conditions, branch)]] for branch in Branch})

    def sample(self, noise: Tensor, latent_image: Tensor, sampler: Any, sigmas: Tensor, **options: Any) -> Tensor:
        """As ComfyUI's own. Every run begins without anything to reuse, the one after a lack of memory too."""
        model_sampling = self.model_patcher.get_model_object("model_sampling")
        edges = tuple(model_sampling.percent_to_sigma(share) for share in (self.guidance.start, self.guidance.end))
        self.guided = GuidanceRun(self.guidance, sigmas.tolist(), edges)
        return super().sample(noise, latent_image, sampler, sigmas, **options)

    def predict_noise(self, x: Tensor, timestep: Tensor, model_options: dict | None = None, seed: Any = None) -> Tensor:
        """Clean latents under guidance, (b, 4, f, h, w) like ``x``; ComfyUI's name for it notwithstanding."""
        options = model_options or {}

        def evaluate(branches: tuple[Branch, ...]) -> dict[Branch, Tensor]:
            conds = [self.conds[COND_NAMES[branch]] if branch in branches else None for branch in Branch]
            groups = [[cond] for cond in conds] if self.one_by_one else [conds]
            outputs = [
                denoised
                for group in groups
                for denoised in comfy.samplers.calc_cond_batch(self.inner_model, group, x, timestep, options)
            ]
            return dict(zip(Branch, outputs, strict=True))

        sigma = timestep.max().item()
        also = READ_BY_OTHERS if options.get("disable_cfg1_optimization", False) else ()
        predictions = self.guided.predict(sigma, evaluate, unit=sigma**2 / (1 + sigma**2), also=also)
        told = {"sigma": timestep, "input": x, "model": self.inner_model, "model_options": options}
        pair = [self.conds["positive"], self.conds["negative"]]
        denoised = self.patches.combine(predictions, self.guided.weights(sigma), {**told, "conds": pair})
        return self.patches.after(
            denoised,
            {
                **told,
                "cond": self.conds["positive"],
                "uncond": self.conds["negative"],
                "cond_denoised": predictions[Branch.FULL],
                "uncond_denoised": predictions[Branch.UNCONDITIONAL],
                "cond_scale": self.cfg,
            },
        )


class PNDMSampler(comfy.samplers.Sampler):
    """The core's PNDM behind ComfyUI's sampler interface."""

    def __init__(self, steps: int, denoise: float):
        self.steps = steps
        self.denoise = denoise

    def sample(
        self,
        model_wrap: Any,
        sigmas: Tensor,
        extra_args: dict,
        callback: Callable,
        noise: Tensor,
        latent_image: Tensor,
        denoise_mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        model_sampling = model_wrap.inner_model.model_sampling

        def predict_noise(x: Tensor, timestep: int) -> Tensor:
            # ComfyUI's samplers work on x / sqrt(signal) and get clean latents back; PNDM works on x and noise.
            sigma = model_sampling.sigma(torch.tensor([timestep], device=x.device))
            scaled = x * (1 + sigma**2).sqrt()
            return (scaled - model_wrap(scaled, sigma.expand(len(x)), **extra_args)) / sigma

        def report(step: int, steps: int, denoised: Tensor) -> None:
            callback(step, denoised, denoised, steps)

        return sample_pndm(predict_noise, latent_image, noise, steps=self.steps, denoise=self.denoise, callback=report)


def clip_sampler(patcher: Any, settings: SamplingSettings, seed: int) -> SampleClips:
    """Make the core's clip sampler out of a MODEL and settings.

    Raises ValueError for settings without noise levels, before anything is encoded for them.
    """
    noise_levels(patcher, settings)
    patches = GuidancePatches(notices_of(patcher), patcher.model_options)
    singly = settings.sampler in ONE_CLIP_SAMPLERS or patches.act_on_guidance

    def sample(conditions: ClipConditions, start: Tensor, noise: Tensor, callback: Callback) -> Tensor:
        if len(start) > 1 and singly:
            return one_by_one(sample, conditions, start, noise, callback)
        guider = M3DDMGuider(patcher, conditions, settings.guidance, patches)
        try:
            return run(guider, settings, seed, start, noise, callback)
        except comfy.model_management.OOM_EXCEPTION as error:
            logging.warning(
                "M3DDM: out of memory with %d clips at once (%s); trying again in parts.", len(start), error
            )
        comfy.model_management.soft_empty_cache()
        if len(start) > 1:
            return one_by_one(sample, conditions, start, noise, callback)
        guider.one_by_one = True
        try:
            return run(guider, settings, seed, start, noise, callback)
        except comfy.model_management.OOM_EXCEPTION as error:
            height, width = (side * LATENT_SCALE for side in start.shape[-2:])
            raise comfy.model_management.OOM_EXCEPTION(
                f"got too little memory for one clip of 16 frames on a canvas of {width}x{height}, with one network "
                "evaluation at a time; lower canvas_size or set canvas_shape to target in M3DDM Edge Mask, pick a "
                "smaller weight_dtype in M3DDM Load Checkpoint, or start ComfyUI with --lowvram"
            ) from error

    return sample


def run(
    guider: M3DDMGuider, settings: SamplingSettings, seed: int, start: Tensor, noise: Tensor, callback: Callback
) -> Tensor:
    """Sample with ComfyUI; latents are in model space on both sides, raw only on the way in and out of ComfyUI."""
    model = guider.model_patcher.model
    sampler, sigmas = make_sampler(guider.model_patcher, settings, seed, noise)

    def report(step: int, denoised: Tensor, x: Tensor, steps: int) -> None:
        callback(step, max(steps, step + 1), denoised)

    latents = guider.sample(
        noise, model.process_latent_out(start), sampler, sigmas, callback=report, disable_pbar=True, seed=seed
    )
    return model.process_latent_in(latents)


def one_by_one(
    sample: SampleClips, conditions: ClipConditions, start: Tensor, noise: Tensor, callback: Callback
) -> Tensor:
    """Sample the clips of a batch one after the other."""
    rows = []
    count = len(start)
    for row in range(count):
        only = slice(row, row + 1)
        alone = ClipConditions(
            conditions.masked_video[only], conditions.blank_video[only], conditions.global_latents, conditions.fps
        )

        def report(step: int, steps: int, denoised: Tensor, row: int = row) -> None:
            callback(row * steps + step, count * steps, denoised)

        rows.append(sample(alone, start[only], noise[only], report))
    return torch.cat(rows)


def make_sampler(
    patcher: Any, settings: SamplingSettings, seed: int, noise: Tensor
) -> tuple[comfy.samplers.Sampler, Tensor]:
    """Return the sampler and its noise levels, from the noisiest down to zero."""
    sigmas = noise_levels(patcher, settings)
    if settings.sampler == PNDM:
        return PNDMSampler(settings.steps, settings.denoise), sigmas
    sampler = comfy.samplers.sampler_object(settings.sampler)
    if "noise_sampler" in inspect.signature(sampler.sampler_function).parameters:
        sampler.extra_options = {
            **sampler.extra_options,
            "noise_sampler": clip_noise_sampler(settings.sampler, sigmas, seed, noise, patcher.load_device),
        }
    return sampler, sigmas


def noise_levels(patcher: Any, settings: SamplingSettings) -> Tensor:
    """Return the noise levels of settings, from the noisiest down to zero.

    Raises ValueError unless they are numbers that fall: not every scheduler has such for a single step.
    """
    if settings.sampler == PNDM:
        timesteps = torch.tensor(pndm_timesteps(settings.steps, settings.denoise))
        sigmas = patcher.get_model_object("model_sampling").sigma(timesteps)
        return torch.cat([sigmas, sigmas.new_zeros(1)])
    sigmas = comfy.samplers.KSampler(
        patcher,
        steps=settings.steps,
        device=patcher.load_device,
        sampler=settings.sampler,
        scheduler=settings.scheduler,
        denoise=settings.denoise,
    ).sigmas
    if len(sigmas) < 2 or not torch.isfinite(sigmas).all() or not (sigmas[1:] < sigmas[:-1]).all():
        raise ValueError(
            f"got the noise levels {quoted(sigmas.tolist())} of the scheduler {settings.scheduler} for "
            f"steps={settings.steps} and denoise={settings.denoise:g}, expected numbers that fall to 0; take another "
            "scheduler or more steps"
        )
    return sigmas


def clip_noise_sampler(
    name: str, sigmas: Tensor, seed: int, noise: Tensor, device: torch.device
) -> Callable[[Tensor, Tensor], Tensor]:
    """Noise for stochastic samplers, drawn for one clip and the same for all, so that batching changes nothing.

    The SDE solvers of DPM++ step back and forth over the noise levels and need a Brownian path.
    """
    clip = noise[:1].to(device)
    if name.startswith("dpmpp") and "sde" in name:
        levels = sigmas[sigmas > 0]
        draw = comfy.k_diffusion.sampling.BrownianTreeNoiseSampler(
            clip, levels.min(), levels.max(), seed=seed, cpu=not name.endswith("_gpu")
        )
    else:
        draw = comfy.k_diffusion.sampling.default_noise_sampler(clip, seed=seed)
    return lambda sigma, sigma_next: draw(sigma, sigma_next).expand(len(noise), *clip.shape[1:])
