"""Training an M3DDM network."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..canvas.placement import LATENT_SCALE
from ..checkpoint import DTYPES, save_checkpoint
from ..vae import load_vae
from ..video.source import VideoInfo
from ..video.writer import write_video
from .config import Config
from .initialise import initial_network
from .latents import ClipLoader, LatentCache, LatentClip, encode_clips
from .loop import TrainingLoop
from .objective import Draws, DrawSource, loss_of, make_batch
from .samples import ROUNDS, ClipSource, Take
from .wrappers import Answer, Averaged, InBfloat16, leave_out_time, recompute_activations, replayed

if TYPE_CHECKING:
    from .preview import Preview

WEIGHTS = "m3ddm.safetensors"


def train(config: Config, *, resume: bool = False, minutes: float = 0.0, log: Callable[[str], None] = print) -> Path:
    """Run, or go on with, a configuration's training; returns the file of the averaged weights.

    ``resume`` goes on from the newest complete checkpoint of the output folder, from the beginning where there is
    none. ``minutes``: stop with a checkpoint after so long; 0 for no limit. ``log`` gets lines for the user.

    Raises ``ValueError`` for what cannot be trained (or resumed), `NonFiniteLoss`, and
    `SaveError` where a checkpoint cannot be written.
    """
    return _NetworkTraining(config, log).run(resume, minutes)


class _NetworkTraining(TrainingLoop):
    weights_name = WEIGHTS
    config: Config

    def __init__(self, config: Config, log: Callable[[str], None]):
        super().__init__(config, log)
        # Footage is decoded by one process; the others find it done.
        with self.accelerator.main_process_first():
            self.source = ClipSource(config, self.log)
        self.skipped = dict(self.source.skipped)
        self.cache = LatentCache(config, self.source)
        self.vae = load_vae(config.path(config.vae.path)).to(self.device)
        self.vae.network.to(memory_format=torch.channels_last)
        self.preview: Preview | None = None
        self.network = initial_network(config)
        if config.data.frames == 1:
            leave_out_time(self.network)
        if config.network.gradient_checkpointing:
            recompute_activations(self.network)
        answer: nn.Module = Answer(self.network, with_global=config.data.global_count > 0)
        if config.run.precision == "bf16":
            answer = InBfloat16(answer)
        if config.run.graphs:
            answer = self._replayed(answer)
        self.draws = DrawSource(config.run.seed, config.objective, config.data.frames)
        self.prepare(answer, ClipLoader(self.source, self.cache))

    def _replayed(self, answer: nn.Module) -> nn.Module:
        """Record the model for inputs of every step's shapes. Raises ``ValueError`` without a CUDA GPU."""
        if self.device.type != "cuda":
            raise ValueError(f"got run.graphs = true on {self.device.type}, expected a CUDA GPU; leave it out")
        config, data, batch = self.network.config, self.config.data, self.config.run.batch
        width, height, side = (pixels // LATENT_SCALE for pixels in (*data.size, data.global_size))
        x = torch.zeros(batch, config.in_channels, data.frames, height, width, device=self.device)
        known = x.new_zeros(batch, max(1, data.global_count), config.out_channels, side, side)
        number = torch.zeros(batch, dtype=torch.int64, device=self.device)
        return replayed(answer.to(self.device), (x, number, known, number))

    def micro_batches(self, first: int) -> Iterator[tuple[Draws, list[LatentClip]]]:
        """As the loop's: encoded clips, and what is drawn for them."""
        return zip(self.loaded(self.draws, first, DrawSource.collate), self._encoded(first), strict=False)

    def _encoded(self, first: int) -> Iterator[list[LatentClip]]:
        """Encoded clips for the micro batches: a pool of batches is loaded, and gone over in so many rounds.

        Which clips come up when is a function of ``first`` alone. A run that goes on in the middle of a pool encodes it
        anew.
        """
        data, batch = self.config.data, self.config.run.batch
        number, passed = divmod(first, data.pool * data.rounds)
        loaded = super().micro_batches(number * data.pool)
        for pool in itertools.count(number):
            kept: list[LatentClip] = []
            for turn in range(data.rounds):
                order = self._order(pool, turn)
                for place in range(data.pool):
                    if turn == 0:
                        kept += self._latents(*next(loaded))
                    if passed:
                        passed -= 1
                        continue
                    yield [kept[i] for i in order[place * batch :][:batch]]

    def _order(self, pool: int, turn: int) -> Sequence[int]:
        """In which order the clips of a pool come up: as they are loaded, and then drawn anew in each round."""
        count = self.config.data.pool * self.config.run.batch
        if turn == 0:
            return range(count)
        return np.random.default_rng((self.config.run.seed, ROUNDS, pool, turn)).permutation(count)

    def loss(self, batch: tuple[Draws, list[LatentClip]]) -> Tensor:
        draws, clips = batch
        made = make_batch(clips, draws, self.config.objective)
        return loss_of(self.model(made.x, made.timesteps, made.global_latents, made.fps), made)

    @torch.no_grad()
    def _latents(self, numbers: list[int], samples: list[tuple[int, Take | LatentClip]]) -> list[LatentClip]:
        """Shoot and encode those clips of a micro batch that the cache did not have."""
        fresh = {number: take for number, take in samples if isinstance(take, Take)}
        made: dict[int, LatentClip] = {}
        # All at once is quicker, but rounds by what is encoded together: after a restart that may be other clips. On
        # the CPU, where a run ends bit for bit as it would have, each clip is encoded by itself.
        groups = [[number] for number in fresh] if self.device.type == "cpu" else [list(fresh)] if fresh else []
        for group in groups:
            # A device is still at the step before: that is not the data's time, but what it does now is.
            self.data_seconds -= self.finish()
            shot = [fresh[number].shoot(self.device) for number in group]
            clips = encode_clips(shot, self._encode, self.config.data, self.device)
            self.finish()
            made |= {number: self.cache.write(number, clip) for number, clip in zip(group, clips, strict=True)}
        clips = [(made.get(number) or clip).to(self.device) for number, clip in samples]
        return [self.cache.played(clip, number) for number, clip in zip(numbers, clips, strict=True)]

    def _encode(self, frames: Tensor) -> Tensor:
        """Encode in the run's precision: of a small network's training the VAE is the larger part."""
        with self.accelerator.autocast():
            return self.vae.encode(frames)

    def export(self, path: Path, step: int) -> None:
        with Averaged(self.ema, self.network):
            save_checkpoint(
                path,
                self.network.state_dict(),
                self.network.config,
                {
                    "prediction_type": self.config.objective.prediction,
                    "training_steps": step,
                    **self.config.advice().metadata(),
                },
                dtype=DTYPES[self.config.run.export_dtype],
            )

    def show(self, step: int) -> None:
        from .preview import Preview

        if self.preview is None:
            self.preview = Preview(self.config, self.source, self.vae, self.device)
        with Averaged(self.ema, self.network):
            films = self.preview.outpaint(self.network)
        samples = self.folder.folder / "samples"
        samples.mkdir(exist_ok=True)
        for number, (film, fps) in enumerate(films):
            self.curves.video(f"clip {number}", film, step, fps)
            height, width = film.shape[1:3]
            write_video(
                samples / f"step-{step:08d}-{number}.mp4", film, VideoInfo.even((width, height), len(film), fps)
            )
