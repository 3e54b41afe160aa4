"""What training never sees of the film."""

from __future__ import annotations

import hashlib

from m3ddm_core.material import film


def frames_of(shots):
    return {number for shot in shots for number in range(shot.first, shot.end)}


def test_every_frame_before_the_credits_is_in_one_shot():
    numbers = [number for shot in film.shots() for number in range(shot.first, shot.end)]
    assert numbers == list(range(11_757))


def test_training_and_held_out_shots_share_no_frame():
    training, held_out = frames_of(film.training_shots()), frames_of(film.held_out_shots())
    assert not training & held_out
    assert training | held_out == set(range(11_757))


def test_the_frames_that_the_demo_shows_are_always_held_out():
    assert set(range(553, 1401)) <= frames_of(film.held_out_shots())


def test_the_list_that_training_began_with_stays_as_it_is():
    """With another list a network would be measured on what it was trained on."""
    numbers = [shot.number for shot in film.held_out_shots()]
    assert numbers == [3, 4, 5, 7, 15, 23, 31, 39, 48, 56, 65, 73, 81, 89, 100, 109, 118]
    assert all(len(shot) >= film.FPS for shot in film.held_out_shots())


def test_the_film_is_known_by_its_content(tmp_path, monkeypatch):
    copy, other = tmp_path / "anything.mkv", tmp_path / "bbb.mp4"
    copy.write_bytes(b"film")
    other.write_bytes(b"live")
    monkeypatch.setattr(film, "BYTES", 4)
    monkeypatch.setattr(film, "SHA256", hashlib.sha256(b"film").hexdigest())
    assert film.is_the_film(copy)
    assert not film.is_the_film(other)
