"""The training loop, on accelerate's devices and diffusers' average of the weights.

Everything random is a function of the run's seed and a clip's number, so a checkpoint holds all there is to know:
weights, their average, the optimizer, and how many steps were done.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..checkpoint import save_checkpoint
from ..checkpoint.convert import DTYPES
from ..vae import load_vae
from .checkpoints import RunFolder, differences
from .config import Config, Optimizer
from .initialise import initial_network
from .latents import ClipLoader, LatentCache, LatentClip, encode_clips
from .objective import loss_of, make_batch
from .samples import Clip, ClipSource
from .wrappers import Answer, Averaged, recompute_activations

if TYPE_CHECKING:
    from accelerate import Accelerator

    from .preview import Preview
    from .report import Curves

WEIGHTS = "m3ddm.safetensors"


class NonFiniteLoss(ValueError):
    """A loss that is no number; the checkpoint before it is the last that is worth anything."""


def train(config: Config, *, resume: bool = False, minutes: float = 0.0, log: Callable[[str], None] = print) -> Path:
    """Run, or go on with, a configuration's training; returns the file of the averaged weights.

    ``resume`` goes on from the newest complete checkpoint of the output folder, from the beginning where there is
    none. ``minutes``: stop with a checkpoint after so long; 0 for no limit. ``log`` gets lines for the user.

    Raises ``ValueError`` for what cannot be trained (or resumed), :class:`NonFiniteLoss`, and
    :class:`~.checkpoints.SaveError` where a checkpoint cannot be written.
    """
    return _Trainer(config, log).run(resume, minutes)


class _Trainer:
    def __init__(self, config: Config, log: Callable[[str], None]):
        from accelerate import Accelerator
        from diffusers.training_utils import EMAModel

        run = config.run
        self.config = config
        self.folder = RunFolder(config.path(run.output))
        self.accelerator: Accelerator = Accelerator(
            mixed_precision=run.precision, gradient_accumulation_steps=run.accumulation
        )
        self.log = log if self.accelerator.is_main_process else lambda line: None
        self.source = ClipSource(config)
        self.skipped = dict(self.source.skipped)
        self.cache = LatentCache(config)
        self.vae = load_vae(config.path(config.vae.path)).to(self.accelerator.device)
        network = initial_network(config)
        if run.gradient_checkpointing:
            recompute_activations(network)
        settings = config.optimizer
        optimizer = torch.optim.AdamW(
            network.parameters(), settings.lr, (settings.beta1, settings.beta2), weight_decay=settings.weight_decay
        )
        answer = Answer(network)
        if run.compile:
            answer.compile()
        self.answer, self.optimizer = self.accelerator.prepare(answer, optimizer)
        self.network = network
        self.ema = EMAModel(
            network.parameters(),
            decay=settings.ema_decay,
            use_ema_warmup=True,
            power=settings.ema_power,
            foreach=True,
        )
        self.accelerator.register_for_checkpointing(self.ema)
        self.curves: Curves | None = None
        self.preview: Preview | None = None
        self.rows: list[tuple[int, Tensor, Tensor, float]] = []

    def run(self, resume: bool, minutes: float) -> Path:
        run = self.config.run
        step = self._begin(resume)
        begun, first = time.monotonic(), step
        batches = self._batches(step)
        while step < run.steps:
            step += 1
            self._step(step, batches)
            if step % run.log_every == 0:
                self._flush(step, (step - first) / (time.monotonic() - begun))
            if run.sample_every and step % run.sample_every == 0:
                self._show(step)
            late = self._is_late(minutes, begun)
            if step % run.save_every == 0 or step == run.steps or late:
                self._flush(step, None)
                self._save(step)
            if late:
                self.log(f"stopped at step {step} after {minutes:g} minutes; go on with --resume")
                break
        if self.curves is not None:
            self.curves.close()
        self.accelerator.end_training()
        return self.folder.folder / WEIGHTS

    def _begin(self, resume: bool) -> int:
        """Load the newest checkpoint, or see to it that there is none; return the number of steps done."""
        latest, step = self.folder.latest(), 0
        if latest and not resume:
            raise ValueError(
                f"got an output folder that holds a run up to step {latest[0]} ({self.folder.folder}), expected an "
                "empty one; go on with --resume, or name another folder"
            )
        if latest:
            step, path = latest
            about = self.folder.read_about(path)
            changed = differences(self.config.as_dict(), about["config"])
            if about["processes"] != self.accelerator.num_processes:
                changed.append(
                    f"{about['processes']} processes when it was saved, {self.accelerator.num_processes} now"
                )
            if changed:
                lines = "\n".join(f"  {line}" for line in changed)
                raise ValueError(f"got a configuration that is not that of the run to be resumed:\n{lines}")
            self.accelerator.load_state(str(path))
            self.ema.to(self.accelerator.device)
            self.log(f"going on from step {step}")
        else:
            self.ema.to(self.accelerator.device)
        if self.accelerator.is_main_process:
            from .report import Curves

            self.folder.folder.mkdir(parents=True, exist_ok=True)
            self.folder.forget_losses_after(step)
            self.curves = Curves(self.folder.folder / "tensorboard", step)
        parameters = sum(p.numel() for p in self.network.parameters())
        self.log(f"{parameters / 1e6:.2f} M parameters, {self.accelerator.num_processes} x {self.accelerator.device}")
        for name, reason in self.skipped.items():
            self.log(f"skipped {name}: {reason}")
        return step

    def _batches(self, step: int) -> Iterator[tuple[list[int], list[tuple[int, Clip | LatentClip]]]]:
        """Yield each micro batch of this process from a step on: the clips' numbers in the run, and the clips."""
        run = self.config.run
        loader = torch.utils.data.DataLoader(
            ClipLoader(self.source, self.cache),
            batch_sampler=_Numbers(
                step * run.accumulation, run.batch, self.accelerator.num_processes, self.accelerator.process_index
            ),
            num_workers=run.workers,
            collate_fn=list,
            persistent_workers=False,
        )
        return zip(iter(loader.batch_sampler), loader, strict=False)

    def _step(self, step: int, batches: Iterator) -> None:
        """One step of the optimizer, over all micro batches and processes."""
        run, settings = self.config.run, self.config.optimizer
        lr = learning_rate(settings, step, run.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        losses, norm = [], torch.zeros(())
        for _ in range(run.accumulation):
            numbers, found = next(batches)
            batch = make_batch(self._latents(found), numbers, run.seed, self.config.objective)
            with self.accelerator.accumulate(self.answer):
                answer = self.answer(batch.x, batch.timesteps, batch.global_latents, batch.fps)
                loss = loss_of(answer, batch)
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    norm = self.accelerator.clip_grad_norm_(self.network.parameters(), settings.clip or math.inf)
                self.optimizer.step()
                self.optimizer.zero_grad()
            losses.append(loss.detach())
        self.ema.step(self.network.parameters())
        self.rows.append((step, torch.stack(losses).mean(), norm.detach(), lr))

    def _latents(self, found: list[tuple[int, Clip | LatentClip]]) -> list[LatentClip]:
        """Encode those clips of a micro batch that the cache did not have."""
        device = self.accelerator.device
        fresh = {number: clip for number, clip in found if isinstance(clip, Clip)}
        for clip in fresh.values():
            for line in clip.skipped:
                name, _, reason = line.partition(": ")
                if self.skipped.setdefault(name, reason) is reason:
                    self.log(f"skipped {line}")
        made: dict[int, LatentClip] = {}
        # All at once is quicker, but rounds by what is encoded together: after a restart that may be other clips. On
        # the CPU, where a run ends bit for bit as it would have, each clip is encoded by itself.
        groups = [[number] for number in fresh] if device.type == "cpu" else [list(fresh)] if fresh else []
        for group in groups:
            clips = encode_clips([fresh[number] for number in group], self.vae.encode, self.config.data, device)
            made |= {number: self.cache.write(number, clip) for number, clip in zip(group, clips, strict=True)}
        return [(made.get(number) or clip).to(device) for number, clip in found]

    def _flush(self, step: int, rate: float | None) -> None:
        """Write the losses since the last time. Raises :class:`NonFiniteLoss` where one is no number."""
        if not self.rows:
            return
        steps, losses, norms, lrs = zip(*self.rows, strict=True)
        losses = self.accelerator.reduce(torch.stack(losses), "mean").tolist()
        norms = torch.stack(norms).tolist()
        self.rows.clear()
        for number, loss in zip(steps, losses, strict=True):
            if not math.isfinite(loss):
                raise NonFiniteLoss(
                    f"got a loss of {loss} in step {number}; checkpoints up to then are untouched. Lower optimizer.lr, "
                    "lengthen its warmup, or take precision 'bf16' or 'no', and go on with --resume"
                )
        if not self.accelerator.is_main_process:
            return
        self.folder.append_losses(zip(steps, losses, norms, lrs, strict=True))
        mean = sum(losses) / len(losses)
        values = {"loss": mean, "grad_norm": norms[-1], "lr": lrs[-1], "skipped videos": float(len(self.skipped))}
        if rate is not None:
            clips = rate * self.config.run.batch * self.config.run.accumulation * self.accelerator.num_processes
            values["clips per second"] = clips
            self.log(f"step {step} of {self.config.run.steps}: loss {mean:.5f}, {clips:.1f} clips/s")
        self.curves.scalars(values, step)

    def _save(self, step: int) -> None:
        """Write a checkpoint, then the averaged weights by themselves."""
        run = self.config.run
        self.accelerator.wait_for_everyone()
        if self.accelerator.num_processes == 1:
            write = partial(self.accelerator.save_state, safe_serialization=True)
            self.folder.save(step, self._about(step), lambda path: write(str(path)), run.keep)
        else:
            self._save_together(step)
        if self.accelerator.is_main_process:
            self._export(step)
        self.accelerator.wait_for_everyone()

    def _save_together(self, step: int) -> None:
        """Each process writes its part before the main one gives the checkpoint its name."""
        shared = self.folder.checkpoints / f".step-{step:08d}.parts.partial"
        self.accelerator.save_state(str(shared))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:

            def move(path: Path) -> None:
                for part in shared.iterdir():
                    part.rename(path / part.name)

            self.folder.save(step, self._about(step), move, self.config.run.keep)

    def _about(self, step: int) -> dict[str, Any]:
        return {"step": step, "config": self.config.as_dict(), "processes": self.accelerator.num_processes}

    def _export(self, step: int) -> None:
        with Averaged(self.ema, self.network):
            save_checkpoint(
                self.folder.folder / WEIGHTS,
                self.network.state_dict(),
                self.network.config,
                {"prediction_type": self.config.objective.prediction, "training_steps": step},
                dtype=DTYPES[self.config.run.export_dtype],
            )

    def _show(self, step: int) -> None:
        """Outpaint the preview's clips with the averaged weights."""
        if not self.accelerator.is_main_process:
            return
        from .preview import Preview
        from .report import write_video

        if self.preview is None:
            self.preview = Preview(self.config, self.source, self.vae, self.accelerator.device)
        with Averaged(self.ema, self.network):
            films = self.preview.outpaint(self.network)
        for number, (film, fps) in enumerate(films):
            self.curves.video(f"clip {number}", film, step, fps)
            write_video(self.folder.folder / "samples" / f"step-{step:08d}-{number}.mp4", film, fps)

    def _is_late(self, minutes: float, begun: float) -> bool:
        """Whether time is up: the main process's clock decides for all."""
        if not minutes:
            return False
        late = torch.tensor(float(time.monotonic() - begun > 60 * minutes), device=self.accelerator.device)
        return bool(self.accelerator.reduce(late, "sum") > 0)


class _Numbers(torch.utils.data.Sampler):
    """The numbers of one process's clips, micro batch by micro batch, without end."""

    def __init__(self, first: int, batch: int, processes: int, process: int):
        self.first, self.batch, self.processes, self.process = first, batch, processes, process

    def __iter__(self) -> Iterator[list[int]]:
        index = self.first
        while True:
            start = (index * self.processes + self.process) * self.batch
            yield list(range(start, start + self.batch))
            index += 1


def learning_rate(settings: Optimizer, step: int, steps: int) -> float:
    """Return the rate of a step, counted from 1: a linear warmup, then constant or half a cosine down to zero."""
    warm = min(1.0, step / settings.warmup) if settings.warmup else 1.0
    if settings.schedule == "constant":
        return settings.lr * warm
    done = max(0, step - settings.warmup) / max(1, steps - settings.warmup)
    return settings.lr * warm * 0.5 * (1 + math.cos(math.pi * done))
