"""What other frames show, measured: what is claimed is told apart, and a still camera changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from m3ddm_core.evaluation.methods import Fill, parse_method
from m3ddm_core.evaluation.protocol import Clip, Protocol, Source
from m3ddm_core.evaluation.runner import Bench, Instruments
from m3ddm_core.evaluation.seen import SeenOver, claims
from tests.helpers.filmed import Film, filmed, painted, pan

SIZE = 64


def square(film: Film) -> Clip:
    """The middle of a film, (n, 64, 64, 3), uint8."""
    return Clip((film.whole[:, :, 16:-16] * 255).round().byte().numpy(), 24.0)


def measured(folder, clip: Clip, *methods):
    protocol = Protocol(size=SIZE, directions=("horizontal",), ratios=(0.25,))
    source = Source("pan", "pan", lambda protocol: clip)
    results = Bench(folder, protocol, methods, Instruments(), grids=False).run([source])
    return {record.method: record.values for record in results.records}


@pytest.mark.parametrize("fill", ["edge", "smooth"])
def test_seen_pixels_are_laid_over_any_fill(fill, tmp_path):
    values = measured(tmp_path, square(pan(1.2)), Fill(fill), SeenOver("seen", fill))
    assert set(values[fill]) == {"frame", "filled", "early", "late"}
    claimed = values["seen"]["claimed"]
    assert claimed["share"] > 0.3 and claimed["off"] < 0.01 and claimed["psnr"] > 33
    assert values["seen"]["filled"]["psnr"] > values[fill]["filled"]["psnr"] + 2


def test_a_still_camera_claims_nothing_and_is_bit_equal(tmp_path):
    clip = square(filmed(painted(1), [(200, 120, 1, 0)] * 12))
    values = measured(tmp_path, clip, Fill("smooth"), SeenOver("seen", "smooth"))
    assert values["seen"]["claimed"] == {"share": 0.0}
    for region in values["smooth"]:
        assert values["seen"][region] == values["smooth"][region]


def test_claims_count_what_is_far_off():
    truth = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    result, claimed, filled = truth.copy(), np.zeros((2, 4, 4), bool), np.zeros((4, 4), bool)
    filled[:, :2], claimed[0, :, :2] = True, True
    result[0, 0, 0] = 26
    result[1] = 255
    assert claims(claimed, filled, truth, result) == {"share": 0.5, "off": 1 / 8}


def test_it_is_asked_for_by_name():
    assert parse_method("seen", {"vae": "", "checkpoint": ""}).fill == "smooth"
    method = parse_method("seen:fill=edge,name=both", {})
    assert (method.label, method.fill) == ("both", "edge")
    with pytest.raises(ValueError, match="got the fill 'grey', expected one of edge, smooth, telea"):
        parse_method("seen:fill=grey", {})
    with pytest.raises(ValueError, match="or one of fill"):
        parse_method("seen:steps=3", {})
