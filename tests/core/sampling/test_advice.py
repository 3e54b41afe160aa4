"""What a checkpoint's metadata says of its use, and what of it cannot be followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from m3ddm_core.checkpoint import read_checkpoint
from m3ddm_core.sampling.advice import Advice, read_advice
from m3ddm_core.sampling.settings import SamplingSettings

DEMO = Path(__file__).resolve().parents[3] / "models" / "m3ddm_demo.safetensors"


def test_a_file_that_says_nothing_is_used_as_the_published_one():
    assert read_advice({"format": "m3ddm"}) == Advice() == Advice(SamplingSettings(), 256)


def test_what_is_written_is_read_back():
    advice = Advice(SamplingSettings().changed({"steps": 4, "sampler": "heun", "guidance_end": 0.5}), 192)
    assert read_advice(advice.metadata()) == advice
    assert all(isinstance(text, str) for text in advice.metadata().values())
    # How much is done at once, or anew, is nothing that a network could know.
    own = advice.sampling.changed({"denoise": 0.5, "clips_per_batch": 8})
    assert read_advice(Advice(own, 192).metadata()) == advice


def test_some_of_it_may_be_left_out():
    found = read_advice({"sampling": '{"steps": 8, "context_scale": 1}'})
    assert found == Advice(SamplingSettings().changed({"steps": 8, "context_scale": 1.0}))
    assert read_advice({"canvas_size": "512"}) == Advice(canvas_size=512)


def test_the_demonstration_says_what_it_was_measured_to_do_best_with():
    expected = {"steps": 2, "sampler": "ddim", "scheduler": "sgm_uniform", "context_scale": 1.0, "global_scale": 1.0}
    assert read_advice(read_checkpoint(DEMO).metadata) == Advice(SamplingSettings().changed(expected), 128)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            {"canvas_size": "100"},
            "got canvas_size = '100', expected a multiple of 8; correct the checkpoint's metadata",
        ),
        ({"canvas_size": "0"}, "got canvas_size = '0'"),
        ({"canvas_size": "-8"}, "got canvas_size = '-8'"),
        ({"sampling": "fast"}, "got sampling = 'fast', expected a JSON object"),
        ({"sampling": "[" * 100_000}, "expected a JSON object"),
        ({"sampling": '{"seed": 1}'}, "got sampling with 'seed', expected one of steps, sampler"),
        ({"sampling": '{"steps": 0}'}, "got sampling with steps = 0, expected a whole number from 1"),
        ({"sampling": '{"steps": 2.5}'}, "got sampling with steps = 2.5, expected a whole number"),
        ({"sampling": '{"steps": true}'}, "got sampling with steps = True"),
        ({"sampling": '{"sampler": "magic"}'}, "got sampling with sampler = 'magic', expected one of pndm, "),
        (
            {"sampling": '{"scheduler": ["normal"]}'},
            r"got sampling with scheduler = \['normal'\], expected one of normal",
        ),
        ({"sampling": '{"global_scale": NaN}'}, "got sampling with global_scale = nan, expected a number from 0"),
        ({"sampling": '{"global_scale": "4"}'}, "got sampling with global_scale = '4', expected a number"),
        ({"sampling": '{"guidance_start": 0.6, "guidance_end": 0.5}'}, r"got guidance from 0\.6 to 0\.5.*metadata"),
    ],
)
def test_what_cannot_be_followed_is_told(metadata, message):
    with pytest.raises(ValueError, match=message):
        read_advice(metadata)
