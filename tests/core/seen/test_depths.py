"""Near and far, where a single motion stands for both."""

from __future__ import annotations

from dataclasses import replace

import torch

from m3ddm_core.seen.camera import find_stretches
from m3ddm_core.seen.depths import find_depths
from m3ddm_core.seen.motions import AFFINE, Freedom, between, parameters_of
from m3ddm_core.seen.pyramid import build_pyramid
from tests.helpers.filmed import pan


def test_what_stood_in_for_depth_is_left_out_of_each_depth_s_own_motion():
    near, far = pan(3.0, 32, seed=10).source, pan(1.0, 32, seed=11).source
    pyramid = build_pyramid(torch.cat([far[:, :32], near[:, 32:]], dim=1), (64, 64))
    (stretch,) = find_stretches(pyramid)
    depths = find_depths(pyramid, replace(stretch, freedom=Freedom(AFFINE)), torch.ones(32, 3))
    assert len(depths) == 2
    first = torch.arange(31)
    for depth, step in zip(depths, (3.0, 1.0), strict=True):
        steps = parameters_of(between(depth.path, first, first + 1), AFFINE)
        assert (steps[:, 0] * 32 + step).abs().median() < 0.1
        assert steps[:, 4:].abs().max() < 1e-6
