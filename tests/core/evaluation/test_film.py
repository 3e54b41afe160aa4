"""Held-out shots as clips: out of the middle, exact to the frame; another film is refused."""

from __future__ import annotations

import numpy as np
import pytest

from m3ddm_core.evaluation import film
from m3ddm_core.evaluation.film import FRAMES, held_out_film_clips, middle
from m3ddm_core.evaluation.protocol import Protocol
from m3ddm_core.material.film import FPS, Shot, held_out_shots
from tests.helpers.clip_files import write_clip

SHADE = 3
"""Every frame of the stand-in is lighter than the one before by so many levels."""


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """A film of 80 flat frames, each of its own shade, whose key frames lie far apart."""
    shades = np.arange(80, dtype=np.uint8)[:, None, None, None] * SHADE
    frames = np.broadcast_to(shades, (80, 48, 64, 3)).copy()
    return write_clip(tmp_path_factory.mktemp("film") / "film.mp4", frames, FPS)


@pytest.fixture
def taken_for_the_film(stand_in, monkeypatch):
    monkeypatch.setattr(film, "is_the_film", lambda path: path == stand_in)
    monkeypatch.setattr(film, "held_out_shots", lambda: (Shot(2, 17, 67), Shot(5, 70, 80)))
    return stand_in


def shades_of(frames: np.ndarray) -> list[int]:
    return [round(level / SHADE) for level in frames.mean(axis=(1, 2, 3))]


def test_frames_come_out_of_the_middle():
    assert middle(Shot(0, 100, 180), 32) == (124, 156)
    assert middle(Shot(0, 100, 121), 32) == (100, 121), "all of a short one"
    assert middle(Shot(0, 100, 133), 32) == (100, 132)


def test_a_shot_is_exact_to_the_frame(taken_for_the_film):
    long, short = held_out_film_clips(taken_for_the_film)
    clip = long.load(Protocol(size=32))
    assert clip.frames.shape == (FRAMES, 32, 32, 3) and clip.fps == FPS
    assert shades_of(clip.frames) == list(range(26, 58))
    assert shades_of(long.load(Protocol(size=32, frames=4)).frames) == [40, 41, 42, 43]
    assert shades_of(short.load(Protocol(size=32)).frames) == list(range(70, 80))


def test_every_held_out_shot_is_a_clip(stand_in, monkeypatch):
    monkeypatch.setattr(film, "is_the_film", lambda path: True)
    sources = held_out_film_clips(stand_in)
    assert [source.name for source in sources] == [f"shot-{shot.number:03d}" for shot in held_out_shots()]
    assert len({source.identity for source in sources}) == len(sources)


def test_another_film_is_told(stand_in, tmp_path):
    with pytest.raises(ValueError, match=r"film\.mp4: got another file, expected bbb\.mp4.*recipes/fetch_material\.py"):
        held_out_film_clips(stand_in)
    with pytest.raises(ValueError, match=r"nothing\.mp4: got no file, expected bbb\.mp4"):
        held_out_film_clips(tmp_path / "nothing.mp4")
