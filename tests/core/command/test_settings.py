"""What the words of the command line and of tables mean."""

from __future__ import annotations

import pytest

from m3ddm_core.command.settings import read_bit_rate


@pytest.mark.parametrize(
    ("text", "bits"), [("8000000", 8_000_000), ("8M", 8_000_000), ("1.5m", 1_500_000), ("800k", 800_000)]
)
def test_bit_rates(text, bits):
    assert read_bit_rate(text) == bits


@pytest.mark.parametrize("text", ["", "fast", "8G", "M"])
def test_what_is_no_bit_rate(text):
    with pytest.raises(ValueError):
        read_bit_rate(text)
