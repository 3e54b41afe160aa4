"""Cameras over pictures and inside panoramas: what they see, against what is known to be there."""

from __future__ import annotations

import numpy as np
import torch

from m3ddm_core.material.store import Piece
from m3ddm_core.synthetic.camera import Motion
from m3ddm_core.training.sources.moves import _about, crossing_sprites, turning_path, window_path
from m3ddm_core.training.sources.views import Sprite, Turning, Window

MOVING = Motion(0.05, 1.5, 0.3, 0.02)


def noise(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def window(middle: tuple[float, float], scale: float = 1.0) -> torch.Tensor:
    """One affine map: ``scale`` pixels of the picture to one of the view, its middle at ``middle``."""
    return torch.tensor([[[scale, 0, middle[0] - 0.5], [0, scale, middle[1] - 0.5]]])


def smooth(height: int, width: int) -> torch.Tensor:
    """A picture (1, h, w, 3) that nothing is lost of where it is sampled between its pixels."""
    x, y = torch.arange(width) / width, torch.arange(height)[:, None] / height
    planes = [x + 0 * y, y + 0 * x, (x + y) / 2]
    return (torch.stack(planes, -1)[None] * 200 + 20).round().to(torch.uint8)


def test_a_window_shows_the_pixels_under_it() -> None:
    picture = smooth(40, 60)
    seen = Window(picture, window((30, 20)), (16, 8)).render("cpu")
    assert (seen.int() - picture[:, 16:24, 22:38].int()).abs().max() <= 1
    mirrored_still = Window(picture, window((30, 20)).expand(3, -1, -1), (16, 8)).render("cpu")
    assert all(torch.equal(frame, seen[0]) for frame in mirrored_still)


def test_each_frame_of_a_film_is_looked_at_through_its_own_window() -> None:
    frames = torch.cat([smooth(40, 60), 255 - smooth(40, 60)])
    maps = torch.cat([window((20, 20)), window((40, 20))])
    seen = Window(frames, maps, (16, 8)).render("cpu").int()
    assert (seen[0] - frames[0, 16:24, 12:28].int()).abs().max() <= 1
    assert (seen[1] - frames[1, 16:24, 32:48].int()).abs().max() <= 1


def test_a_sprite_covers_what_lies_behind_it_and_no_more() -> None:
    pixels = torch.zeros(8, 8, 4, dtype=torch.uint8)
    pixels[2:6, 2:6] = torch.tensor([255, 0, 0, 255], dtype=torch.uint8)
    behind = torch.full((1, 40, 60, 3), 100, dtype=torch.uint8)
    sprite = Sprite(pixels, window((4, 4)))
    seen = Window(behind, window((30, 20)), (16, 8), (sprite,)).render("cpu")[0]
    assert seen[3:5, 7:9, 0].min() > 250 and seen[3:5, 7:9, 1].max() < 5
    assert (seen[:, :5] == 100).all() and (seen[:, 11:] == 100).all() and (seen[0] == 100).all()


def test_a_panorama_comes_round() -> None:
    panorama = noise(32, 64, 3)
    angles = np.array([0.3, 0.3 + 2 * np.pi])
    turns = torch.from_numpy(_about(1, angles)).float()
    first, second = Turning(panorama, turns, torch.full((2,), 20.0), (24, 16)).render("cpu").int()
    assert (first - second).abs().max() <= 1


def test_a_camera_that_turns_sees_what_lay_beside_its_view() -> None:
    """A column of the panorama that is at the right of one view is in the middle of the next."""
    panorama = torch.zeros(64, 128, 3, dtype=torch.uint8)
    yaw = np.radians(30)
    column = round((yaw / (2 * np.pi) + 0.5) * 128)
    panorama[:, column - 2 : column + 2] = 255
    focal = 20.0
    turns = torch.from_numpy(_about(1, np.array([0.0, yaw]))).float()
    ahead, turned = Turning(panorama, turns, torch.full((2,), focal), (40, 20)).render("cpu")[..., 0].float()
    across = torch.arange(40) + 0.5 - 20
    places = [(frame[10] * across).sum() / frame[10].sum() for frame in (ahead, turned)]
    assert abs(places[0] - focal * np.tan(yaw)) < 1 and abs(places[1]) < 1


def test_looking_down_shows_the_ground() -> None:
    panorama = torch.zeros(64, 128, 3, dtype=torch.uint8)
    panorama[32:] = 255
    turns = torch.from_numpy(_about(0, -np.radians([80.0, -80.0]))).float()
    down, up = Turning(panorama, turns, torch.full((2,), 20.0), (8, 8)).render("cpu")
    assert down.min() == 255 and up.max() == 0


def test_a_window_stays_within_its_picture_whatever_the_camera_does() -> None:
    times = np.arange(0, 48, 3)
    corners = torch.tensor([[-8.0, -6, 1], [8, -6, 1], [-8, 6, 1], [8, 6, 1]])
    moved = 0
    for seed in range(50):
        path = window_path(np.random.default_rng(seed), MOVING, (16, 12), (60, 40), 1.5, times)
        places = torch.einsum("n i j, c j -> n c i", path, corners) + 0.5
        assert places.min() > -1e-3 and places[..., 0].max() < 60.001 and places[..., 1].max() < 40.001
        moved += (path[:, :, 2].std(0).max() > 1).item()
    assert moved > 40


def test_a_turning_camera_keeps_its_axes_at_right_angles() -> None:
    rotations, focals = turning_path(np.random.default_rng(0), MOVING, (16, 12), 1.2, np.arange(20))
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).expand(20, 3, 3), atol=1e-6, rtol=0)
    assert (focals > 0).all() and rotations.std(0).max() > 0.01


def test_sprites_cross_the_view(tmp_path) -> None:
    class CutOuts:
        pieces = (Piece("a", 0, (1, 8, 8, 4)),)

        def pixels(self, piece: Piece) -> np.ndarray:
            return np.full((1, 8, 8, 4), 255, np.uint8)

    behind, times = torch.zeros(1, 64, 64, 3, dtype=torch.uint8), np.arange(24)
    covered = []
    for seed in range(20):
        sprites = crossing_sprites(np.random.default_rng(seed), CutOuts(), 1, (32, 32), times)
        seen = Window(behind, window((32, 32)).expand(24, -1, -1), (32, 32), sprites).render("cpu")
        covered.append((seen[..., 0] > 128).float().mean((1, 2)))
    covered = torch.stack(covered)
    assert (covered.max(1).values > 0.02).sum() >= 5 and (covered.max(1).values == 0).sum() >= 3
    assert covered.std(1).max() > 0.01, "they come and go"
