"""The shares of the papers, counted: five standard deviations around what is expected of so many draws."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from m3ddm_core.training import masks

DRAWS = 20_000


def assert_shares(counts: Counter, shares: dict, draws: int = DRAWS) -> None:
    assert set(counts) <= set(shares)
    for name, share in shares.items():
        deviation = (share * (1 - share) * draws) ** 0.5
        assert abs(counts[name] - share * draws) < 5 * deviation, name


@pytest.mark.parametrize("strategy", masks.STRATEGIES)
def test_directions_come_in_the_papers_shares(strategy: str) -> None:
    rng = np.random.default_rng(1)
    counts = Counter(masks.draw_border(rng, strategy).kind for _ in range(DRAWS))
    assert_shares(counts, masks.STRATEGIES[strategy].shares)


def test_the_shares_are_the_papers() -> None:
    m3ddm, plus = (masks.STRATEGIES[name].shares for name in ("m3ddm", "m3ddm_plus"))
    assert m3ddm == {"four": 0.2, "one": 0.1, "opposite": 0.35, "subset": 0.1, "everything": 0.25}
    assert plus == {"one": 0.3, "opposite": 0.55, "four": 0.15}
    assert masks.FRAME_MODES == {"context": 0.3, "ends": 0.35, "any": 0.35}
    for shares in (m3ddm, plus, masks.FRAME_MODES):
        assert sum(shares.values()) == pytest.approx(1)


def test_sides_pairs_and_subsets_are_even() -> None:
    rng = np.random.default_rng(2)
    seen: dict[str, Counter] = {"one": Counter(), "opposite": Counter(), "subset": Counter()}
    for _ in range(DRAWS):
        border = masks.draw_border(rng, "m3ddm")
        if border.kind in seen:
            seen[border.kind][tuple(side for side, hidden in border.hidden.items() if hidden)] += 1
    for counts, kinds in ((seen["one"], 4), (seen["opposite"], 2), (seen["subset"], 15)):
        assert len(counts) == kinds
        assert_shares(counts, dict.fromkeys(counts, 1 / kinds), counts.total())


def test_ratios_are_even_over_their_range() -> None:
    rng = np.random.default_rng(3)
    ratios = []
    while len(ratios) < 4000:
        border = masks.draw_border(rng, "m3ddm")
        if border.kind == "opposite":
            ratios.append(border.hidden["left"] + border.hidden["right"] or border.hidden["top"] * 2)
    low, high = masks.RATIO
    assert low <= min(ratios) and max(ratios) <= high
    deciles = Counter(int((ratio - low) / (high - low) * 10) for ratio in ratios)
    assert_shares(deciles, dict.fromkeys(range(10), 0.1), len(ratios))


def test_one_side_hides_its_ratio_and_half_of_it_in_m3ddm_plus() -> None:
    rng = np.random.default_rng(4)
    hidden = {}
    for strategy in masks.STRATEGIES:
        borders = [masks.draw_border(rng, strategy, (0.5, 0.5)) for _ in range(300)]
        hidden[strategy] = {sum(b.hidden.values()) for b in borders if b.kind == "one"}
        assert {sum(b.hidden.values()) for b in borders if b.kind == "opposite"} == {0.5}
        assert {sum(b.hidden.values()) for b in borders if b.kind == "four"} == {1.0}
    assert hidden == {"m3ddm": {0.5}, "m3ddm_plus": {0.25}}


def test_a_mask_is_zero_in_its_window_alone() -> None:
    border = masks.Border("subset", {"left": 0.25, "top": 0.0, "right": 0.0, "bottom": 0.5})
    assert border.window(64, 32) == (16, 0, 48, 16)
    mask = border.mask(64, 32)
    assert mask.shape == (32, 64)
    assert mask[:16, 16:].sum() == 0 and mask.sum() == 64 * 32 - 48 * 16
    assert masks.Border("everything", dict.fromkeys(masks.SIDES, 0.5)).mask(16, 8).all()


def test_frame_modes_come_in_their_shares() -> None:
    rng = np.random.default_rng(5)
    counts, last, share = Counter(), 0, []
    for _ in range(DRAWS):
        mode, whole = masks.draw_whole_frames(rng, 16)
        counts[mode] += 1
        if mode == "context":
            assert not whole.any()
        elif mode == "ends":
            assert whole[0] and not whole[1:-1].any()
            last += whole[-1]
        else:
            share.append(whole.mean())
            assert not whole.all()
    assert_shares(counts, masks.FRAME_MODES)
    assert_shares(Counter({True: last}), {True: 0.5}, counts["ends"])
    assert np.mean(share) == pytest.approx(0.5, abs=0.01)


def test_strides_are_even_among_those_that_fit() -> None:
    rng = np.random.default_rng(6)
    counts = Counter(masks.draw_stride(rng, 1000, 16) for _ in range(DRAWS))
    assert set(counts) == set(range(1, 31))
    assert_shares(counts, dict.fromkeys(range(1, 31), 1 / 30))
    assert {masks.draw_stride(rng, 46, 16) for _ in range(100)} == {1, 2, 3}
    assert masks.draw_stride(rng, 16, 16) == 1


def test_small_strides_may_come_up_most() -> None:
    rng = np.random.default_rng(8)
    counts = Counter(masks.draw_stride(rng, 1000, 16, 4, "inverse") for _ in range(DRAWS))
    assert_shares(counts, {1: 12 / 25, 2: 6 / 25, 3: 4 / 25, 4: 3 / 25})
    assert {masks.draw_stride(rng, 46, 16, 30, "inverse") for _ in range(100)} == {1, 2, 3}


def test_context_and_global_frames_are_dropped_independently() -> None:
    rng = np.random.default_rng(7)
    counts = Counter(masks.draw_dropout(rng, 0.2, 0.1) for _ in range(DRAWS))
    expected = {(True, True): 0.02, (True, False): 0.18, (False, True): 0.08, (False, False): 0.72}
    assert_shares(counts, expected)


def test_an_unknown_strategy_is_named() -> None:
    with pytest.raises(ValueError, match=r"'m3ddm2'.*m3ddm, m3ddm_plus"):
        masks.draw_border(np.random.default_rng(0), "m3ddm2")
