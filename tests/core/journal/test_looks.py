"""What was seen around is kept: a run that goes on, or another seed, does not look once more."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from m3ddm_core.canvas.placement import with_canvas
from m3ddm_core.journal.looks import _key, looks_in
from m3ddm_core.journal.store import Journal
from m3ddm_core.seen import look
from m3ddm_core.seen.recipe import Seen
from tests.helpers.filmed import Film, pan

PARTS = [10, 14]


@pytest.fixture(scope="module")
def film() -> Film:
    return pan(1.4)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames each look had."""
    usual, counts = look.check, []

    def check(frames, border, heed):
        counts.append(len(frames))
        return usual(frames, border, heed)

    monkeypatch.setattr(look, "check", check)
    return counts


def seen_in(film: Film, journal: Journal | None, lengths=PARTS, told=None) -> Seen:
    heard = (lambda done: None) if told is None else told.append
    return look.look_through(iter(film.source), film.placement, lengths, on_frame=heard, keep=looks_in(journal))


def assert_alike(one: Seen, other: Seen) -> None:
    assert one.scenes == other.scenes
    for field in fields(Seen):
        if isinstance(value := getattr(one, field.name), Tensor):
            assert torch.equal(value, getattr(other, field.name)), field.name


def test_what_was_seen_is_not_looked_for_again(film, tmp_path, looked):
    journal, told = Journal(tmp_path / "journal"), []
    first = seen_in(film, journal)
    assert first.share > 0.1 and looked == PARTS
    assert_alike(first, seen_in(film, None))
    del looked[:]
    again = seen_in(film, Journal(tmp_path / "journal"), told=told)
    assert_alike(again, first)
    assert looked == [] and told == [10, 24] and journal.taken == 0, "it is no clip"


def test_one_scene_that_has_changed_is_looked_at_alone(film, tmp_path, looked):
    journal = Journal(tmp_path / "journal")
    seen_in(film, journal)
    del looked[:]
    changed = film.whole.clone()
    changed[20, 10, 40] = 1 - changed[20, 10, 40]
    seen_in(Film(changed), journal)
    assert looked == PARTS[1:]
    square = with_canvas(film.placement, 96, "square")
    look.look_through(iter(film.source), square, PARTS, keep=looks_in(journal))
    assert looked == PARTS[1:] + PARTS, "it is seen on a canvas"


@pytest.mark.parametrize("kept", [torch.zeros(40, dtype=torch.uint8), torch.ones(4, 16, 2, 2)])
def test_what_cannot_be_used_is_told_and_looked_for_again(film, tmp_path, looked, kept, caplog):
    journal = Journal(tmp_path / "journal")
    first = seen_in(film, journal, [24])
    (path,) = (tmp_path / "journal").iterdir()
    journal.put(path.stem, kept)
    assert_alike(seen_in(film, journal, [24]), first)
    assert looked == [24, 24] and "cannot be used" in caplog.text


def test_its_key_is_of_frames_and_places_alone(film):
    nothing = look.unseen(film.placement, 24)
    assert _key(film.source, nothing) == _key(film.source.clone(), look.unseen(film.placement, 24, "why"))
    assert _key(film.source, nothing) != _key(film.source[:-1], nothing)
