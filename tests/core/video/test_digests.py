"""A frame's hash is another for all that makes its picture another, and the same in every pass and process."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch

from m3ddm_core.video.crop import Crop, CroppedSource
from m3ddm_core.video.digests import derived_beside, digest_picture
from m3ddm_core.video.file import FileSource
from m3ddm_core.video.formats import Encoding
from m3ddm_core.video.frame_digest import FrameDigest
from m3ddm_core.video.pictures import PictureMaker
from m3ddm_core.video.source import ScaledSource, TensorSource
from m3ddm_core.video.steady import SteadyFile
from m3ddm_core.video.writer import write_video

ROOT = Path(__file__).resolve().parents[3]
COUNT, WIDTH, HEIGHT = 6, 70, 36


def tensors(changed=None, width=WIDTH):
    images = torch.rand(COUNT, HEIGHT, width, 3, generator=torch.Generator().manual_seed(1))
    if changed is not None:
        # The last pixel of a row that is no multiple of what decoders pad to.
        images[changed, -1, -1, 2] = 1 - images[changed, -1, -1, 2].round()
    return TensorSource(images, Fraction(25))


def filmed(path, source, encoding=Encoding("ffv1")):  # noqa: B008
    write_video(path, source.frames(), source.info, encoding=encoding)
    return FileSource(str(path))


def apart(one, other):
    return [number for number, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]]


ENCODINGS = {
    "ffv1": Encoding("ffv1"),
    "ffv1 of ten bits": Encoding("ffv1", bit_depth=10),
    "h264": Encoding(),
    "hevc of ten bits": Encoding("hevc", bit_depth=10),
    "prores": Encoding("prores"),
    "png": Encoding("png"),
}


@pytest.mark.parametrize("kind", ENCODINGS)
def test_frames_that_differ_have_other_digests(kind, tmp_path):
    encoding = ENCODINGS[kind]
    suffix = encoding.kind.suffix

    def digests(name, source):
        path = tmp_path / f"{name}{suffix}"
        if suffix:
            return filmed(path, source, encoding).digests
        write_video(path, source.frames(), source.info, encoding=encoding)
        return sum((FileSource(str(picture)).digests for picture in sorted(path.glob("*.png"))), ())

    once, again = digests("a", tensors()), digests("b", tensors())
    assert once == again and len(set(once)) == COUNT
    changed = digests("c", tensors(3))
    # Of an encoder that looks at several frames others may differ too.
    assert 3 in apart(once, changed) and (kind in ("h264", "hevc of ten bits") or apart(once, changed) == [3])


def test_it_is_the_same_in_another_process(tmp_path):
    source = filmed(tmp_path / "a.mkv", tensors())
    code = "import sys; from m3ddm_core.video.file import FileSource; print(*FileSource(sys.argv[1]).digests)"
    answer = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.mkv")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert tuple(answer.stdout.split()) == source.digests == SteadyFile(str(tmp_path / "a.mkv")).digests


def stored(name, aspect=1, **tags):
    """The digest of a grey frame in a pixel format."""
    frame = av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), 99, np.uint8), format="rgb24").reformat(format=name)
    for tag, value in tags.items():
        setattr(frame, tag, value)
    return FrameDigest(SimpleNamespace(sample_aspect_ratio=Fraction(aspect)))(frame)


def test_how_it_is_stored_and_to_be_shown_counts():
    kinds = [stored(name) for name in ("yuv420p", "yuv422p", "yuv444p10le", "nv12", "gray", "bgr0", "rgb24")]
    kinds += [stored("yuv420p", colorspace=5), stored("yuv420p", color_range=2), stored("yuv420p", aspect=2)]
    kinds += [stored("yuv420p", color_trc=16), stored("yuv420p", color_primaries=9)]
    assert len(set(kinds)) == len(kinds) and stored("yuv420p") == kinds[0]


@pytest.mark.parametrize("coding", [("h264", 10), ("hevc", 10), ("prores", 10), ("h264", 8), ("ffv1", 8)])
def test_a_picture_that_is_written_twice_is_the_same_to_the_byte(coding):
    """Converting widths that are no multiple of what is converted at a time would bring in what lay in memory."""
    name, depth = coding
    for width in (70, 86):
        source, found = tensors(width=width), set()
        make = PictureMaker(Encoding(name).coding(depth), source.info)
        digest = FrameDigest(SimpleNamespace(sample_aspect_ratio=None))
        for number in range(40):
            np.full(30_000 + 1000 * number, number, np.uint8)
            found.add(digest(make(source.images[0])))
        assert len(found) == 1


def test_frames_of_a_kind_that_is_not_read_by_rows_are_hashed_as_pictures(tmp_path):
    from PIL import Image

    digests = []
    for number, colour in enumerate((0, 0, 1)):
        picture = Image.new("P", (WIDTH, HEIGHT), colour)
        picture.putpalette([0, 0, 0, 255, 0, 0])
        picture.save(tmp_path / f"{number}.png")
        digests += FileSource(str(tmp_path / f"{number}.png")).digests
    assert digests[0] == digests[1] != digests[2]


def test_what_is_made_of_frames_has_digests_of_theirs():
    source, other = tensors(), tensors(3)
    assert apart(source.digests, other.digests) == [3]
    for make in (
        lambda each: CroppedSource(each, Crop(left=2)),
        lambda each: ScaledSource(each, (32, 16)),
    ):
        assert apart(make(source).digests, make(other).digests) == [3]
        assert not set(make(source).digests) & set(source.digests)
    crops = [CroppedSource(source, crop).digests[0] for crop in (Crop(left=2), Crop(right=2), Crop(left=4))]
    assert len({*crops, ScaledSource(source, (32, 16)).digests[0], ScaledSource(source, (16, 32)).digests[0]}) == 5
    assert CroppedSource(source, Crop(left=2)).part(2, 5).digests == CroppedSource(source, Crop(left=2)).digests[2:5]


def test_a_deinterlaced_frame_is_made_of_its_neighbours_too():
    assert apart(derived_beside("abcde", "top"), derived_beside("abXde", "top")) == [1, 2, 3]
    assert not set(derived_beside("abc", "top")) & set(derived_beside("abc", "bottom"))
    assert derived_beside("a", "top")[0] == derived_beside("a", "top")[0] != derived_beside("aa", "top")[0]


def test_how_a_file_is_deinterlaced_counts(tmp_path):
    filmed(tmp_path / "a.mkv", tensors())
    plain, top, bottom = (
        FileSource(str(tmp_path / "a.mkv"), fields=fields).digests for fields in ("auto", "top", "bottom")
    )
    assert not (set(plain) & set(top) | set(top) & set(bottom))


def test_pictures_in_memory_count_by_their_values_and_their_kind():
    picture = torch.rand(4, 6, 3)
    others = picture.double(), picture.half(), picture.reshape(6, 4, 3), picture.bfloat16(), picture + 1e-7
    found = {digest_picture(each) for each in (picture, *others)}
    assert len(found) == 6
    assert digest_picture(picture.movedim(0, 1).contiguous().movedim(0, 1)) == digest_picture(picture)
