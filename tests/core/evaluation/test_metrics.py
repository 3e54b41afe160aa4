"""The metrics against closed forms and against other packages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torchmetrics.functional.image import structural_similarity_index_measure

from m3ddm_core.evaluation.metrics import PSNR_CAP, TEXTURAL_EVERY, flicker, measure, seam, sharpness, ssim

EVERYWHERE = {"frame": None}


def noise(seed: int, frames: int = 3, size: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, size, size, 3), dtype=np.uint8)


def flat(*levels: int, size: int = 32) -> np.ndarray:
    return np.broadcast_to(np.array(levels, np.uint8)[:, None, None, None], (len(levels), size, size, 3)).copy()


def test_equal_frames():
    found = measure(noise(0), noise(0), EVERYWHERE)["frame"]
    assert found == {"mse": 0, "ssim": pytest.approx(1), "psnr": PSNR_CAP, "flicker": 1, "sharpness": 1}


def test_an_even_error_has_a_closed_form():
    found = measure(flat(100, 100), flat(110, 120), EVERYWHERE)["frame"]
    assert found["mse"] == pytest.approx((10**2 + 20**2) / 2 / 255**2)
    # The mean of the frames' decibels, not the decibels of the mean.
    assert found["psnr"] == pytest.approx((20 * np.log10(25.5) + 20 * np.log10(12.75)) / 2)
    constant = (0.01 * 255) ** 2
    expected = [(2 * 100 * b + constant) / (100**2 + b**2 + constant) for b in (110, 120)]
    assert found["ssim"] == pytest.approx(np.mean(expected))


def test_other_packages_agree():
    truth, result = noise(1), (noise(1) // 2 + noise(2) // 2).astype(np.uint8)
    found = measure(truth, result, EVERYWHERE)["frame"]
    decibels = [peak_signal_noise_ratio(a, b, data_range=255) for a, b in zip(truth, result, strict=True)]
    assert found["psnr"] == pytest.approx(np.mean(decibels))
    one, two = (torch.from_numpy(x).permute(0, 3, 1, 2).double() for x in (truth, result))
    # Theirs also counts the rim, where windows reach over the edge; the map is the same.
    _, theirs = structural_similarity_index_measure(two, one, data_range=255.0, return_full_image=True)
    assert found["ssim"] == pytest.approx(theirs[..., 5:-5, 5:-5].mean().item())
    assert 0.2 < found["ssim"] < 0.9, "the case tells something"


def test_the_map_of_ssim_has_its_mean_inside_the_rim():
    truth, result = noise(1)[0], noise(2)[0]
    mean, spread = ssim(truth, result)
    assert mean == pytest.approx(spread[5:-5, 5:-5].mean())


def test_a_region_is_measured_alone():
    truth, result = flat(100, 100), flat(100, 100)
    region = np.zeros((32, 32), dtype=bool)
    region[:, :8] = True
    result[:, :, :8] += 20
    found = measure(truth, result, {"frame": None, "filled": region, "known": ~region})
    assert found["filled"]["mse"] == pytest.approx((20 / 255) ** 2)
    assert found["frame"]["mse"] == pytest.approx((20 / 255) ** 2 / 4)
    assert found["known"]["mse"] == 0 and found["known"]["psnr"] == PSNR_CAP


def test_frames_count_by_their_pixels_in_a_region():
    region = np.zeros((3, 32, 32), dtype=bool)
    region[0, :, :8], region[1, :, :24] = True, True
    found = measure(flat(0, 0, 0), flat(10, 20, 250), {"seen": region})["seen"]
    assert found["mse"] == pytest.approx((10**2 * 8 + 20**2 * 24) / 32 / 255**2)


def test_an_empty_region_has_no_values():
    assert measure(noise(0), noise(1), {"seen": np.zeros((32, 32), dtype=bool)}) == {"seen": {}}


def test_perceptual_distances_go_with_the_rest():
    def perceptual(truth, result):
        difference = np.abs(truth.astype(float) - result).mean(-1)
        return difference.mean((1, 2)) + 1000, difference

    region = np.ones((32, 32), dtype=bool)
    found = measure(flat(0, 0), flat(10, 20), {"frame": None, "filled": region}, perceptual)
    assert found["frame"]["lpips"] == pytest.approx(1015), "the whole frame has the metric's own value"
    assert found["filled"]["lpips"] == pytest.approx(15)


def test_flicker_is_change_over_the_truths_change():
    truth = flat(100, 110, 100, 110)
    assert flicker(truth, flat(100, 120, 100, 120), None) == pytest.approx(2)
    assert flicker(truth, flat(50, 50, 50, 50), None) == 0
    # A still truth: the change in levels of 255.
    assert flicker(flat(9, 9), flat(0, 3), None) == pytest.approx(3)
    assert flicker(truth[:1], truth[:1], None) is None
    region = np.zeros((4, 32, 32), dtype=bool)
    region[:2, :, :4] = True
    changed = truth.copy()
    changed[1, :, :4] += 20
    changed[3] += 100
    assert flicker(truth, changed, region) == pytest.approx(3), "only frames 0 and 1 share pixels of the region"


def test_textures_are_looked_at_every_eighth_frame_where_there_are_any():
    seen = []

    def textural(truth, result, masks):
        seen.append(int(truth[0, 0, 0]))
        return [float(truth[0, 0, 0])] + [0.25] * (len(masks) - 1)

    frames = 2 * TEXTURAL_EVERY + 1
    truth = flat(*range(frames))
    late = np.zeros((frames, 32, 32), dtype=bool)
    late[TEXTURAL_EVERY + 1 :] = True
    found = measure(truth, truth, {"frame": None, "late": late, "seen": late & False}, textural=textural)
    assert seen == [0, TEXTURAL_EVERY, 2 * TEXTURAL_EVERY]
    assert found["frame"]["dists"] == TEXTURAL_EVERY and found["late"]["dists"] == 0.25
    assert "dists" not in found["seen"] and "dists" not in measure(truth, truth, EVERYWHERE)["frame"]


def test_sharpness_is_the_energy_of_steps_over_the_truths():
    ramp = np.broadcast_to((np.arange(32) * 4).astype(np.uint8)[None, None, :, None], (2, 32, 32, 3)).copy()
    assert sharpness(ramp, ramp // 2, None) == pytest.approx(1 / 4)
    assert sharpness(ramp, flat(100, 100), None) == 0
    # A flat truth: the energy in squared levels, of which the steps across the ramp are half.
    assert sharpness(flat(9, 9), ramp, None) == pytest.approx(16 / 2)
    region = np.zeros((32, 32), dtype=bool)
    region[:, :8] = True
    changed = ramp.copy()
    changed[:, :, 8:] = 255 - changed[:, :, 8:]
    assert sharpness(ramp, changed, region) == 1, "neither what lies outside nor the step across its edge counts"
    alone = np.zeros((32, 32), dtype=bool)
    alone[3, 3] = True
    assert sharpness(ramp, ramp, alone) is None


def test_seam_of_a_ramp_is_one_and_of_repeated_pixels_none():
    filled = np.zeros((32, 32), dtype=bool)
    filled[:, :8], filled[:, 24:] = True, True
    ramp = np.broadcast_to((np.arange(32) * 5).astype(np.uint8)[None, None, :, None], (2, 32, 32, 3)).copy()
    assert seam(ramp, filled) == pytest.approx(1)
    assert seam(ramp.transpose(0, 2, 1, 3).copy(), filled.T) == pytest.approx(1)
    step = ramp.copy()
    step[:, :, 8:24] += 35
    step[:, :, 24:] += 70
    assert seam(step, filled) == pytest.approx((5 + 35) / 5)
    repeated = np.pad(ramp[:, :, 8:24], ((0, 0), (0, 0), (8, 8), (0, 0)), mode="edge")
    assert seam(repeated, filled) == 0
    assert seam(ramp, np.zeros_like(filled)) is None


@pytest.mark.parametrize("result", [noise(0, size=16), noise(0)[:2], noise(0).astype(float)])
def test_unequal_shapes_are_told(result):
    with pytest.raises(ValueError, match=r"got a result of shape .*expected equal shapes \(n, h, w, 3\), uint8"):
        measure(noise(0), result, EVERYWHERE)
