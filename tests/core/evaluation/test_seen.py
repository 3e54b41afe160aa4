"""What other frames show, measured: what is claimed is told apart, and a still camera changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from m3ddm_core.evaluation.methods import Fill, Model, ModelSettings, parse_method
from m3ddm_core.evaluation.protocol import Case, Clip, Protocol, Source
from m3ddm_core.evaluation.runner import Bench, Instruments
from m3ddm_core.evaluation.seen import AGES, SeenOver, claimed_regions, claims, looked_around
from m3ddm_core.models import Models
from m3ddm_core.seen.recipe import USES
from tests.helpers.block_vae import BlockVAE
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
    assert values["seen"]["claimed near"]["psnr"] > 33 and values["seen"]["claimed far"] == {}


def test_what_is_claimed_is_parted_by_age():
    clip, placement = square(pan(1.2)), Case("horizontal", 0.25).place(SIZE)
    seen = looked_around(clip.known(placement), placement)
    regions = claimed_regions(seen)
    assert list(regions) == ["claimed", *AGES]
    parts = np.stack([regions[name] for name in AGES])
    assert (parts.sum(0) == regions["claimed"]).all() and parts[0].any() and parts[1].any()
    assert (seen.ages_on_canvas().numpy()[parts[1]] > 8).all()


def test_the_model_uses_what_is_seen_as_it_is_asked_to(tmp_path):
    clip = square(pan(1.2))

    def sampler(settings, seed):
        def sample(conditions, start, noise, callback):
            callback(0, 1, start)
            return start

        return sample

    def model(label, seen):
        settings = ModelSettings(fill="smooth", seen=seen)
        return Model(
            label, settings, "weights", lambda: Models(BlockVAE.encode, BlockVAE.decode, sampler, lambda *_: 1)
        )

    values = measured(tmp_path, clip, *(model(use, use) for use in USES), SeenOver("seen", "smooth"))
    assert "claimed" not in values["off"]
    for use in ("start", "layer", "both", "known"):
        assert values[use]["claimed"]["share"] == values["seen"]["claimed"]["share"] > 0.3
        assert values[use]["filled"]["psnr"] > values["off"]["filled"]["psnr"] + 0.5, use
    # What is laid over is what is claimed, to the pixel: the known area is put back hard.
    for use in ("layer", "both", "known"):
        assert values[use]["claimed"]["mse"] == values["seen"]["claimed"]["mse"]
    assert values["start"]["claimed"]["psnr"] < values["layer"]["claimed"]["psnr"] - 3
    assert len({model("x", use).identity for use in USES}) == len(USES)
    assert "seen" not in model("x", "off").identity, "what was measured before there was the setting is not lost"


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
