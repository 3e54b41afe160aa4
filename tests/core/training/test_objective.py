"""What a step asks: noise, targets, conditions, and what an error counts for."""

from __future__ import annotations

import pytest
import torch

from m3ddm_core.sampling.schedule import add_noise
from m3ddm_core.training.config import Objective
from m3ddm_core.training.latents import LatentClip
from m3ddm_core.training.objective import Batch, DrawSource, loss_of, make_batch, signal_shares, snr_weight

FRAMES = 6


def a_clip(number: int) -> LatentClip:
    generator = torch.Generator().manual_seed(number)
    mask = torch.zeros(1, 4, 4)
    mask[..., :2] = 1
    return LatentClip(
        latents=torch.randn(FRAMES, 4, 4, 4, generator=generator),
        masked=torch.randn(FRAMES, 4, 4, 4, generator=generator),
        mask=mask,
        global_latents=torch.randn(2, 4, 6, 6, generator=generator),
        blank=torch.full((4, 4, 4), 9.0),
        fps=torch.tensor(8),
    )


def batch_of(numbers: list[int], **options: object) -> Batch:
    objective, clips = Objective(**options), [a_clip(number) for number in numbers]
    return make_batch(clips, DrawSource(3, objective, len(clips[0].latents)).of(numbers), objective)


def test_a_batch_is_decided_by_the_clips_numbers_alone() -> None:
    together, alone = batch_of([4, 5, 6]), batch_of([5])
    for name, value in vars(alone).items():
        assert torch.equal(getattr(together, name)[1:2], value), name
    assert not torch.equal(batch_of([5, 5]).x[0], batch_of([7]).x[0])


def test_noisy_latents_and_both_targets_belong_together() -> None:
    numbers = list(range(8))
    epsilon, v = batch_of(numbers), batch_of(numbers, prediction="v_prediction")
    assert torch.equal(epsilon.x, v.x)
    for row, number in enumerate(numbers):
        clean = a_clip(number).latents.transpose(0, 1)
        timestep = int(epsilon.timesteps[row])
        noise = epsilon.target[row]
        torch.testing.assert_close(epsilon.x[row, :4], add_noise(clean[None], noise[None], timestep)[0])
        signal = signal_shares()[timestep]
        torch.testing.assert_close(v.target[row], signal.sqrt() * noise - (1 - signal).sqrt() * clean)


def test_noisy_timesteps_are_the_larger_of_two_draws() -> None:
    numbers = list(range(400))
    even, noisy = (batch_of(numbers, timesteps=kind).timesteps.double() for kind in ("even", "noisy"))
    assert (noisy >= even).all() and noisy.max() <= 999
    assert even.mean().item() == pytest.approx(499.5, abs=45) and noisy.mean().item() == pytest.approx(666, abs=40)


def test_conditions_are_those_of_inference() -> None:
    numbers = list(range(60))
    batch = batch_of(numbers, drop_context=0.5, drop_global=0.5)
    kinds = set()
    for row, number in enumerate(numbers):
        clip, context, mask = a_clip(number), batch.x[row, 4:8].transpose(0, 1), batch.x[row, 8]
        dropped_global = batch.global_latents[row].eq(0).all().item()
        assert dropped_global or torch.equal(batch.global_latents[row], clip.global_latents)
        for frame in range(FRAMES):
            if torch.equal(context[frame], clip.latents[frame]):
                kinds.add("whole")
                assert mask[frame].eq(0).all()
            elif torch.equal(context[frame], clip.masked[frame]):
                kinds.add("context")
                assert torch.equal(mask[frame], clip.mask[0])
            else:
                kinds.add("blank")
                assert torch.equal(context[frame], clip.blank) and mask[frame].eq(1).all()
    assert kinds == {"whole", "context", "blank"}


def test_guide_noise_disturbs_whole_frames_alone() -> None:
    numbers = list(range(30))
    plain, noised = batch_of(numbers), batch_of(numbers, guide_noise=500)
    changed = (plain.x != noised.x).flatten(3).any(-1)
    whole = plain.x[:, 8].flatten(2).eq(0).all(-1)
    assert not changed[:, [0, 1, 2, 3, 8]].any()
    assert changed[:, 4:8].any(1)[whole].float().mean() > 0.9
    assert not changed[:, 4:8].any(1)[~whole].any()


def test_the_loss_is_a_weighted_mean_of_squares() -> None:
    batch = batch_of([0, 1], hidden_weight=3.0)
    assert set(batch.weights.unique().tolist()) == {1.0, 3.0}
    assert torch.equal(batch.weights == 3.0, batch.x[:, 8:9] == 1)
    assert loss_of(batch.target, batch) == 0
    off = loss_of(batch.target + 2, batch)
    torch.testing.assert_close(off, 4 * batch.weights.mean())


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_min_snr_weighs_the_clean_latents_error_alike(prediction: str) -> None:
    signal = torch.tensor([0.99, 0.5, 0.1])
    weight = snr_weight(signal, Objective(prediction=prediction, weighting="min_snr"))
    snr = signal / (1 - signal)
    # The error of the clean latents that an error of one in the prediction implies, squared, times the weight.
    implied = 1 / snr if prediction == "epsilon" else 1 - signal
    torch.testing.assert_close(weight / implied, snr.clamp(max=5.0))
