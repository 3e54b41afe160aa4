"""The paper's cases: what is taken away, and what of it is a region."""

from __future__ import annotations

import numpy as np
import pytest

from m3ddm_core.evaluation.protocol import Case, Clip, Protocol


def test_the_papers_protocol_is_the_default():
    protocol = Protocol()
    assert protocol.size == 256
    assert [case.label for case in protocol.cases] == [
        "horizontal 0.25",
        "horizontal 0.66",
        "vertical 0.25",
        "vertical 0.66",
    ]


@pytest.mark.parametrize(
    ("case", "rectangle"),
    [
        (Case("horizontal", 0.25), (32, 0, 192, 256)),
        (Case("horizontal", 0.66), (84, 0, 88, 256)),
        (Case("vertical", 0.25), (0, 32, 256, 192)),
        (Case("vertical", 0.66), (0, 84, 256, 88)),
    ],
)
def test_half_the_ratio_is_taken_from_each_side_at_full_scale(case, rectangle):
    placement = case.place(256)
    assert placement.canvas == placement.target == (256, 256)
    assert placement.canvas_source == rectangle
    assert placement.source == rectangle[2:]


def test_frames_are_cropped_or_stretched_to_squares():
    frame = np.zeros((40, 100, 3), dtype=np.uint8)
    frame[:, 30:70] = 200
    assert (Protocol(size=32).fitted(frame) == 200).all(), "the middle 40 columns"
    stretched = Protocol(size=32, fit="stretch").fitted(frame)
    assert stretched.shape == (32, 32, 3) and stretched[:, :8].max() == 0 and stretched[:, 12:20].min() == 200
    assert (Protocol(size=32).fitted(frame[:32, 30:62]) == 200).all(), "a frame of that size is left as it is"


def test_regions_split_what_is_filled():
    frames = np.zeros((3, 32, 32, 3), dtype=np.uint8)
    seen = np.zeros((3, 32, 32), dtype=bool)
    seen[1, :, :10] = True
    windows = []
    clip = Clip(frames, 10.0, lambda window: windows.append(window) or seen)
    placement = Case("horizontal", 0.25).place(32)
    regions = clip.regions(placement)
    assert windows == [(4, 0, 24, 32)]
    assert regions["frame"] is None
    assert regions["filled"].sum() == 8 * 32
    assert regions["seen"].sum() == 4 * 32, "what is known is not filled"
    assert not (regions["seen"] & regions["unseen"]).any()
    assert ((regions["seen"] | regions["unseen"]) == regions["filled"]).all()
    assert clip.known(placement).shape == (3, 32, 24, 3)
    assert set(Clip(frames, 10.0).regions(placement)) == {"frame", "filled", "early", "late"}


def test_regions_tell_early_from_late():
    regions = Clip(np.zeros((9, 32, 32, 3), dtype=np.uint8), 10.0).regions(Case("vertical", 0.25).place(32))
    assert regions["early"].any((1, 2)).tolist() == [True] * 3 + [False] * 6
    assert regions["late"].any((1, 2)).tolist() == [False] * 6 + [True] * 3
    assert (regions["late"][-1] == regions["filled"]).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 100}, "got a size of 100, expected a multiple of 8"),
        ({"ratios": (1.0,)}, "got a ratio of 1, expected the share"),
        ({"ratios": ()}, "at least one ratio"),
        ({"directions": ("diagonal",)}, "got directions .'diagonal'"),
        ({"frames": 1}, "got at most 1 frames, expected 2 or more"),
    ],
)
def test_what_cannot_be_measured_is_told(settings, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**settings)
