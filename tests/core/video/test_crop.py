"""A source without its edges is one, with everything else as it was."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from m3ddm_core.video.crop import Crop, CroppedSource
from m3ddm_core.video.source import TensorSource


@pytest.fixture
def source() -> TensorSource:
    images = torch.rand(5, 40, 60, 3, generator=torch.Generator().manual_seed(0))
    return TensorSource(images, Fraction(25), torch.arange(1600.0)[None] / 1600, 8000)


def test_frames_lose_their_edges_and_nothing_else(source):
    video = CroppedSource(source, Crop(3, 5, 7, 2))
    assert video.info.size == (51, 32) and video.info.timeline == source.info.timeline
    assert torch.equal(torch.stack(list(video.frames())), source.images[:, 3:35, 7:58])
    assert torch.equal(torch.stack(list(video.frames())), source.images[:, 3:35, 7:58]), "as often as one likes"
    assert np.concatenate(list(video.sound.blocks()), axis=1).shape == (1, 1600)


def test_a_part_has_its_own_times_and_sound(source):
    part = CroppedSource(source, Crop(top=4)).part(1, 4).part(1, 3)
    assert torch.equal(torch.stack(list(part.frames())), source.images[2:4, 4:])
    assert part.info.timeline.seconds == pytest.approx(0.08) and len(part.thumbnails) == 2
    sound = np.concatenate(list(part.sound.blocks()), axis=1)
    assert sound.shape == (1, 640) and sound[0, 0] == pytest.approx(0.4, abs=1e-3)


def test_thumbnails_are_of_what_is_left(source):
    source.thumbnails[:, :9] = 0
    thumbnails = CroppedSource(source, Crop(top=10)).thumbnails
    assert thumbnails.shape == source.thumbnails.shape and (thumbnails.amax((2, 3)) > 0).all()


def test_masks_are_cropped_with_it(source):
    crop, mask = Crop(1, 2, 3, 4), torch.rand(1, 40, 60)
    assert torch.equal(crop.of_mask(mask, source.info.size), mask[:, 1:38, 3:56])
    assert torch.equal(crop.of_mask(mask[0], source.info.size), mask[0, 1:38, 3:56])
    assert crop.of_mask(mask[:, 5:], source.info.size).shape == (1, 35, 60), "one of another size is not touched"
    assert crop.of_mask(None, source.info.size) is None


def test_what_cannot_be_is_told(source):
    with pytest.raises(ValueError, match="got a crop of -1 above"):
        Crop(top=-1)
    with pytest.raises(ValueError, match=r"got a crop of 20 above, 5 below.* from frames of 60x40, expected"):
        CroppedSource(source, Crop(20, 5))
