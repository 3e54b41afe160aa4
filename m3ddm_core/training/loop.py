"""The training loop that every model here shares, on accelerate's devices and diffusers' average of the weights.

Everything random is a function of the run's seed and a sample's number, so a checkpoint holds all there is to know:
weights, their average, the optimizer, and how many steps were done.
"""

from __future__ import annotations

import itertools
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from .checkpoints import RunFolder, differences
from .config import Optimizer, Run

if TYPE_CHECKING:
    from accelerate import Accelerator
    from diffusers.training_utils import EMAModel

    from .report import Curves


class NonFiniteLoss(ValueError):
    """A loss that is no number; the checkpoint before it is the last that is worth anything."""


class Settings(Protocol):
    """What the loop asks of a configuration."""

    run: Run
    optimizer: Optimizer

    def path(self, name: str) -> Path: ...

    def as_dict(self) -> dict[str, dict[str, Any]]: ...


class TrainingLoop(ABC):
    """Steps, checkpoints, curves and time; what a sample is and what an answer is worth is the subclass's.

    A subclass prepares itself in ``__init__`` and then calls `prepare`.
    """

    weights_name: str
    """The file, in the run's folder, that `export` writes."""

    def __init__(self, config: Settings, log: Callable[[str], None]):
        from accelerate import Accelerator

        run = config.run
        self.config = config
        self.folder = RunFolder(config.path(run.output))
        self.accelerator: Accelerator = Accelerator(
            mixed_precision=run.precision, gradient_accumulation_steps=run.accumulation
        )
        self.device = self.accelerator.device
        self.log = log if self.accelerator.is_main_process else lambda line: None
        self.skipped: dict[str, str] = {}
        self.curves: Curves | None = None
        self._rows: list[tuple[int, Tensor, Tensor, float]] = []
        self.data_seconds, self._last_flush = 0.0, time.monotonic()

    def prepare(self, model: nn.Module, dataset: torch.utils.data.Dataset) -> None:
        """Take the model to be trained and the dataset, by number, that it is trained on."""
        from diffusers.training_utils import EMAModel

        settings = self.config.optimizer
        self.dataset = dataset
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(
            self.parameters,
            settings.lr,
            (settings.beta1, settings.beta2),
            weight_decay=settings.weight_decay,
            fused=self.device.type != "cpu",
        )
        if self.config.run.compile:
            model.compile()
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        self.ema: EMAModel = EMAModel(
            self.parameters, decay=settings.ema_decay, use_ema_warmup=True, power=settings.ema_power, foreach=True
        )
        self.accelerator.register_for_checkpointing(self.ema)

    @abstractmethod
    def loss(self, batch: Any) -> Tensor:
        """Return the loss () of a micro batch."""

    @abstractmethod
    def export(self, path: Path, step: int) -> None:
        """Write the model by itself."""

    @abstractmethod
    def show(self, step: int) -> None:
        """Show what the model can do by now, on the main process."""

    def run(self, resume: bool, minutes: float) -> Path:
        """Train to the last step, or until time is up; return the file of the weights."""
        run = self.config.run
        step = self._begin(resume)
        begun, first = time.monotonic(), step
        self._last_flush = begun
        batches = self.micro_batches(step * run.accumulation)
        while step < run.steps:
            step += 1
            self._step(step, batches)
            if step % run.log_every == 0:
                self._flush(step, (step - first) / (time.monotonic() - begun))
            if run.sample_every and step % run.sample_every == 0 and self.accelerator.is_main_process:
                self.show(step)
            late = self._is_late(minutes, begun)
            if step % run.save_every == 0 or step == run.steps or late:
                self._flush(step, None)
                self._save(step)
            if late and step < run.steps:
                self.log(f"stopped at step {step} after {minutes:g} minutes; go on with --resume")
                break
        weights = self.folder.folder / self.weights_name
        # A run may have been stopped between its last checkpoint and this file.
        if not weights.exists() and self.accelerator.is_main_process:
            self.export(weights, step)
        if self.curves is not None:
            self.curves.close()
            self._draw_losses()
        self.accelerator.end_training()
        return weights

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
            self._check_same_run(self.folder.read_about(path))
            self.accelerator.load_state(str(path))
            self.log(f"going on from step {step}")
        self.ema.to(self.device)
        if self.accelerator.is_main_process:
            from .report import Curves

            self.folder.folder.mkdir(parents=True, exist_ok=True)
            self.folder.forget_losses_after(step)
            self.curves = Curves(self.folder.folder / "tensorboard", step)
        count = sum(parameter.numel() for parameter in self.parameters)
        self.log(f"{count / 1e6:.2f} M parameters, {self.accelerator.num_processes} x {self.device}")
        for name, reason in self.skipped.items():
            self.log(f"skipped {name}: {reason}")
        return step

    def _check_same_run(self, about: dict[str, Any]) -> None:
        changed = differences(self.config.as_dict(), about["config"])
        if about["processes"] != self.accelerator.num_processes:
            changed.append(f"{about['processes']} processes when it was saved, {self.accelerator.num_processes} now")
        if changed:
            lines = "\n".join(f"  {line}" for line in changed)
            raise ValueError(f"got a configuration that is not that of the run to be resumed:\n{lines}")

    def micro_batches(self, first: int) -> Iterator[Any]:
        """Yield the micro batches of this process from the ``first`` on: the samples' numbers, and the samples."""
        return zip(_Numbers(self, first), self.loaded(self.dataset, first, list), strict=False)

    def loaded(
        self, dataset: torch.utils.data.Dataset, first: int, collate: Callable[[list[Any]], Any]
    ) -> Iterator[Any]:
        """Yield what a dataset has for this process's micro batches from the ``first`` on, read by other processes."""
        return iter(
            torch.utils.data.DataLoader(
                dataset, batch_sampler=_Numbers(self, first), num_workers=self.config.run.workers, collate_fn=collate
            )
        )

    def sample_numbers(self, index: int) -> list[int]:
        """Return the numbers, among all samples of the run, of this process's micro batch ``index``."""
        batch, accelerator = self.config.run.batch, self.accelerator
        start = (index * accelerator.num_processes + accelerator.process_index) * batch
        return list(range(start, start + batch))

    def _step(self, step: int, batches: Iterator[Any]) -> None:
        """One step of the optimizer, over all micro batches and processes."""
        run, settings = self.config.run, self.config.optimizer
        lr = learning_rate(settings, step, run.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        losses, norm = [], torch.zeros(())
        for _ in range(run.accumulation):
            begun = time.monotonic()
            batch = next(batches)
            self.data_seconds += time.monotonic() - begun
            with self.accelerator.accumulate(self.model):
                loss = self.loss(batch)
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    norm = self.accelerator.clip_grad_norm_(self.parameters, settings.clip or math.inf)
                self.optimizer.step()
                self.optimizer.zero_grad()
            losses.append(loss.detach())
        self.ema.step(self.parameters)
        self._rows.append((step, torch.stack(losses).mean(), norm.detach(), lr))

    def _flush(self, step: int, rate: float | None) -> None:
        """Write the losses since the last time. Raises `NonFiniteLoss` where one is no number."""
        if not self._rows:
            return
        steps, losses, norms, rates = zip(*self._rows, strict=True)
        losses = self.accelerator.reduce(torch.stack(losses), "mean").tolist()
        norms = torch.stack(norms).tolist()
        self._rows.clear()
        for number, loss in zip(steps, losses, strict=True):
            if not math.isfinite(loss):
                raise NonFiniteLoss(
                    f"got a loss of {loss} in step {number}; checkpoints up to then are untouched. Lower optimizer.lr "
                    "or optimizer.clip and go on with --resume, or begin anew in another precision"
                )
        if self.curves is None:
            return
        self.folder.append_losses(zip(steps, losses, norms, rates, strict=True))
        mean = sum(losses) / len(losses)
        values = {"loss": mean, "grad_norm": norms[-1], "lr": rates[-1], "skipped videos": float(len(self.skipped))}
        seconds, data = (time.monotonic() - self._last_flush) / len(losses), self.data_seconds / len(losses)
        values |= {"seconds a step": seconds, "seconds a step for data": data}
        self._last_flush, self.data_seconds = time.monotonic(), 0.0
        if rate is not None:
            values["samples per second"] = self._samples_a_step * rate
            self.log(
                f"step {step} of {self.config.run.steps}: loss {mean:.5f}, {self._samples_a_step * rate:.1f}/s, "
                f"{seconds:.2f} s a step, {data:.2f} s ({data / seconds:.0%}) of it for data"
            )
        self.curves.scalars(values, step)

    def finish(self) -> float:
        """Wait for what the device still has to do; returns the seconds."""
        begun = time.monotonic()
        if self.device.type != "cpu":
            torch.accelerator.synchronize()
        return time.monotonic() - begun

    @property
    def _samples_a_step(self) -> int:
        return self.config.run.batch * self.config.run.accumulation * self.accelerator.num_processes

    def _save(self, step: int) -> None:
        """Write a checkpoint, then the model by itself."""
        about = {"step": step, "config": self.config.as_dict(), "processes": self.accelerator.num_processes}
        keep = self.config.run.keep
        self.accelerator.wait_for_everyone()
        if self.accelerator.num_processes == 1:
            self.folder.save(step, about, lambda path: self.accelerator.save_state(str(path)), keep)
        else:
            # Each process writes its part before the main one gives the checkpoint its name.
            parts = self.folder.checkpoints / f".step-{step:08d}.parts.partial"
            self.accelerator.save_state(str(parts))
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                self.folder.save(step, about, partial(_move_files, parts), keep)
        if self.accelerator.is_main_process:
            self.export(self.folder.folder / self.weights_name, step)
        self.accelerator.wait_for_everyone()

    def _draw_losses(self) -> None:
        from .report import draw_losses

        if not draw_losses(self.folder.losses, self.folder.folder / "loss.png"):
            self.log("no picture of the losses: matplotlib is not installed")

    def _is_late(self, minutes: float, begun: float) -> bool:
        """Whether time is up for any process: then it is for all."""
        if not minutes:
            return False
        late = torch.tensor(float(time.monotonic() - begun > 60 * minutes), device=self.device)
        return bool(self.accelerator.reduce(late, "sum") > 0)


class _Numbers(torch.utils.data.Sampler):
    """The numbers of one process's samples, micro batch by micro batch, without end."""

    def __init__(self, loop: TrainingLoop, first: int):
        self.loop, self.first = loop, first

    def __iter__(self) -> Iterator[list[int]]:
        return map(self.loop.sample_numbers, itertools.count(self.first))


def _move_files(source: Path, target: Path) -> None:
    for file in source.iterdir():
        file.rename(target / file.name)


def learning_rate(settings: Optimizer, step: int, steps: int) -> float:
    """Return the rate of a step, counted from 1: a linear warmup, then constant or half a cosine down to zero."""
    warm = min(1.0, step / settings.warmup) if settings.warmup else 1.0
    if settings.schedule == "constant":
        return settings.lr * warm
    done = max(0, step - settings.warmup) / max(1, steps - settings.warmup)
    return settings.lr * warm * 0.5 * (1 + math.cos(math.pi * done))
