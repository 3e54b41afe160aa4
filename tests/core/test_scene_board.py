"""Decisions for single scenes: they change what they are about, and no byte of any other scene."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from m3ddm_core.canvas.framing import Framing
from m3ddm_core.canvas.placement import ANCHORS
from m3ddm_core.canvas.result_size import ResultSize
from m3ddm_core.journal.store import Journal
from m3ddm_core.models import Models
from m3ddm_core.pipeline import Options, outpaint_source
from m3ddm_core.sampling.settings import SamplingSettings
from m3ddm_core.video.board import Board, Decision
from m3ddm_core.video.writer import write_shots
from tests.helpers.block_vae import BlockVAE
from tests.helpers.many_scenes import FIRSTS, LENGTH, SCENES, SIZE, many_scenes

FRAMING = Framing(ratio="1:1", canvas_size=48)
OPTIONS = Options(
    FRAMING,
    SamplingSettings(1),
    seed=3,
    blending={"feather": 2, "colour_match": "steady", "blend": "gradient"},
)
CHOSEN = 7
FIRST = FIRSTS[CHOSEN]


def models(calls):
    """Sampling adds a little of the noise to the start; ``calls`` hears of each clip."""

    def sampler(settings, seed):
        def sample(conditions, start, noise, callback):
            calls.append(seed)
            result = start + 0.2 * noise
            callback(0, 1, result)
            return result

        return sample

    return Models(
        BlockVAE.encode,
        BlockVAE.decode,
        sampler,
        lambda settings, height, width: 1,
        recipe=lambda settings, seed: f"{settings} {seed}",
    )


def outpainted(board, calls=None, **changed):
    calls = [] if calls is None else calls
    finished = outpaint_source(many_scenes(), models(calls), replace(OPTIONS, board=board, **changed))
    return torch.stack(list(finished.frames()))


def changed_scenes(before, after):
    """The numbers of the scenes in which any byte differs."""
    apart = [not torch.equal(*pair) for pair in zip(before.split(LENGTH), after.split(LENGTH), strict=True)]
    return [number for number, differs in enumerate(apart) if differs]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The folder of a journal in which all clips of the video without a board lie, of both passes."""
    folder, calls = tmp_path_factory.mktemp("kept") / "journal", []
    outpainted(Board(), calls, journal=Journal(folder), second_pass=64)
    assert len(calls) == 2 * SCENES, "a scene of nine frames is one clip"
    return folder


@pytest.fixture
def journal(kept, tmp_path):
    """A journal of the test's own in which they lie."""
    return Journal(shutil.copytree(kept, tmp_path / "journal"))


@pytest.fixture(scope="module")
def plain(kept):
    return outpainted(Board(), journal=Journal(kept))


@pytest.fixture(scope="module")
def twice(kept):
    return outpainted(Board(), journal=Journal(kept), second_pass=64)


DECISIONS = {
    "seed": Decision(seed=4),
    "anchor": Decision(anchor="left"),
    "offset and seed": Decision(offset=(12, 0), seed=9),
    "leave": Decision(leave=True),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_redoing_one_scene_is_one_scenes_work_and_no_other_byte_changes(name, plain, journal):
    calls, decision = [], DECISIONS[name]
    after = outpainted(Board({FIRST: decision}), calls, journal=journal)
    assert calls == [3 if decision.seed is None else decision.seed] * (not decision.leave)
    assert journal.taken == SCENES - 1
    assert changed_scenes(plain, after) == [CHOSEN]


@pytest.mark.parametrize("name", ["offset and seed", "leave"])
def test_so_it_is_with_a_second_pass(name, twice, journal):
    calls, decision = [], DECISIONS[name]
    after = outpainted(Board({FIRST: decision}), calls, journal=journal, second_pass=64)
    assert calls == [9, 9] * (not decision.leave) and journal.taken == 2 * (SCENES - 1)
    assert changed_scenes(twice, after) == [CHOSEN]


def test_what_is_seen_is_looked_for_scene_by_scene():
    before = outpainted(Board(), seen="both")
    after = outpainted(Board({FIRST: Decision(anchor="left"), FIRSTS[3]: Decision(leave=True)}), seen="both")
    assert changed_scenes(before, after) == [3, CHOSEN]
    assert changed_scenes(outpainted(Board()), before), "something is seen"


def test_a_board_that_says_nothing_changes_nothing(plain):
    said = {first: Decision() for first in FIRSTS}
    assert torch.equal(outpainted(Board(said, tuple(FIRSTS[1:]))), plain)


def test_with_cuts_given_none_are_looked_for(plain, monkeypatch):
    def never(*given):
        raise AssertionError

    monkeypatch.setattr("m3ddm_core.pipeline.find_cuts", never)
    cuts = tuple(FIRSTS[1:])
    assert torch.equal(outpainted(Board({}, cuts)), plain)
    assert torch.equal(outpainted(Board({}, cuts), cut_threshold=None), plain)


FRAMINGS = {
    "ratio": FRAMING,
    "pixels": Framing(ratio=None, pixels=(10, 4, 6, 2), canvas_size=48),
    "scaled": replace(FRAMING, size=ResultSize("short side", 40)),
}


@pytest.mark.parametrize("name", FRAMINGS)
def test_a_scene_lies_where_the_whole_video_would(name):
    framing = FRAMINGS[name]
    target = framing.place(SIZE).target
    places = [Decision(anchor=anchor) for anchor in ANCHORS] + [Decision(offset=(9, 0))]
    board = Board(dict(zip(FIRSTS, places, strict=False)))
    finished = outpaint_source(many_scenes(), models([]), replace(OPTIONS, framing=framing, board=board))
    for place, scene in zip(places, finished.scenes, strict=False):
        assert scene.placement.target == target
        if framing.pixels is None:
            anchor = place.anchor or framing.anchor
            assert scene.placement == replace(framing, anchor=anchor, offset=place.offset).place(SIZE)
    assert {scene.placement for scene in finished.scenes[len(places) :]} == {framing.place(SIZE)}
    if framing.pixels:
        assert [scene.placement.offset for scene in finished.scenes[:10]] == [
            *((8, 3), (0, 3), (16, 3), (8, 0), (8, 6), (0, 0), (16, 0), (0, 6), (16, 6), (9, 0))
        ]


def test_all_scenes_elsewhere_are_the_video_elsewhere():
    board = Board({first: Decision(anchor="right") for first in FIRSTS})
    assert torch.equal(outpainted(board), outpainted(Board(), framing=replace(FRAMING, anchor="right")))


def test_what_is_left_is_the_source_on_black(plain):
    after = outpainted(Board({FIRST: Decision(leave=True, anchor="right")}))
    own = slice(FIRST, FIRST + LENGTH)
    assert torch.equal(after[own, :, 16:], many_scenes().images[own]) and not after[own, :, :16].any()
    assert changed_scenes(plain, after) == [CHOSEN]


def test_nothing_is_sampled_where_all_is_left():
    calls = []
    outpainted(Board({first: Decision(leave=True) for first in FIRSTS}), calls, second_pass=64)
    assert calls == []


@pytest.fixture
def white(tmp_path):
    return _picture(tmp_path / "white.png", 48, 48)


def _picture(path: Path, width: int, height: int) -> Path:
    from PIL import Image

    Image.new("RGB", (width, height), "white").save(path)
    return path


@pytest.mark.parametrize("number", [2, -1])
def test_a_guide_is_the_frame_that_it_is_for(number, white):
    before, after = (
        outpainted(board, blending={}) for board in (Board(), Board({FIRST: Decision(guides=((number, white),))}))
    )
    assert changed_scenes(before, after) == [CHOSEN]
    assert _is_white(after[FIRST + number % LENGTH]) and not _is_white(after[FIRST + 1])


def test_guides_are_held_in_a_second_pass_too(white):
    after = outpainted(Board({FIRST: Decision(guides=((0, white),))}), blending={}, second_pass=64)
    assert _is_white(after[FIRST]) and not _is_white(after[FIRST + 1])


def _is_white(frame):
    """Whether its border is, away from the source."""
    return bool((frame[:, :4] > 0.95).all())


def test_what_does_not_fit_is_told_before_anything_is_encoded(tmp_path, white):
    wide = _picture(tmp_path / "wide.png", 64, 36)
    bad = {
        "the board's scene at frame 63: got offset_x=99, which puts the source of 32x48": Decision(offset=(99, 0)),
        "the board's scene at frame 63: got a guide for frame 9 of a scene of 9": Decision(guides=((9, white),)),
        "each frame once": Decision(guides=((0, white), (-9, white))),
        "got the guide wide.png of 64x36, expected the shape": Decision(guides=((0, wide),)),
    }
    for expected, decision in bad.items():
        encoded = []
        broken = replace(models([]), encode=encoded.append)
        with pytest.raises(ValueError, match=expected) as error:
            outpaint_source(many_scenes(), broken, replace(OPTIONS, board=Board({FIRST: decision})))
        assert not encoded and "\n" not in str(error.value)
    with pytest.raises(ValueError, match="got a scene that begins at frame 64 in the board"):
        outpainted(Board({FIRST + 1: Decision(seed=1)}))


def test_a_trial_of_the_first_frames_takes_what_the_board_says_of_them():
    board = Board({0: Decision(anchor="left"), FIRST: Decision(seed=1)}, tuple(FIRSTS[1:]))
    source = many_scenes(2)
    with pytest.raises(ValueError, match="got a cut at frame 18 in the board and a video of 18 frames"):
        outpaint_source(source, models([]), replace(OPTIONS, board=board))
    finished = outpaint_source(source, models([]), replace(OPTIONS, board=board), first_frames=18)
    assert [scene.placement.offset for scene in finished.scenes] == [(0, 0), (8, 0)]


def test_written_frames_of_other_scenes_are_the_same_too(tmp_path):
    """Though no journal is there to copy them from: each scene has an encoder of its own."""
    from m3ddm_core.video.file import FileSource

    read = []
    for name, board in (("a.mp4", Board()), ("b.mp4", Board({FIRST: Decision(seed=8)}))):
        finished = outpaint_source(many_scenes(), models([]), replace(OPTIONS, board=board))
        write_shots(tmp_path / name, finished.shots(), finished.info)
        read.append(torch.stack(list(FileSource(str(tmp_path / name)).frames())))
    assert changed_scenes(*read) == [CHOSEN]
