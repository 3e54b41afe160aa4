"""Frames read once and kept as long as they are needed."""

from __future__ import annotations

import torch

from m3ddm_core.seen.around import Around, as_bytes
from m3ddm_core.seen.look import look_around, look_through
from tests.helpers.filmed import pan


def test_frames_come_once_and_go_when_no_recipe_names_them_any_more():
    film = pan(1.4, 40)
    seen = look_around(film.source, film.placement)
    given = []

    def frames():
        for number, frame in enumerate(film.source):
            given.append(number)
            yield frame

    around = Around(frames(), seen, as_bytes)
    most = 0
    for number in range(len(seen)):
        read = around.of(number)
        for other in seen.named(number):
            torch.testing.assert_close(read(other).float() / 255, film.source[other], atol=0.5 / 255 + 1e-6, rtol=0)
        most = max(most, len(around.kept))
        whole = seen.on_target(number, film.source.__getitem__)
        torch.testing.assert_close(seen.on_target(number, read).pixels, whole.pixels, atol=1.5 / 255, rtol=0)
    assert given == sorted(set(given)) and most < len(seen)


def test_frames_one_by_one_are_looked_at_as_all_at_once():
    film = pan(1.4, 10)
    one, all_at_once = look_through(iter(film.source), film.placement, [10]), look_around(film.source, film.placement)
    assert torch.equal(one.offsets, all_at_once.offsets) and torch.equal(one.confidence, all_at_once.confidence)
