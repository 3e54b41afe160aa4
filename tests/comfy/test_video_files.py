"""Files of every kind through M3DDM Outpaint Video, each with its outcome. The sampler is a stand-in."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

RATE = 25
SOUND_RATE = 44100


@dataclass(frozen=True)
class File:
    """How a file is made, and what comes of it: size (width, height) and seconds of the finished video, its bit depth,
    and the channels of its sound."""

    name: str
    finished: tuple[int, int] = (86, 48)
    seconds: float = 0.48
    bit_depth: int = 8
    channels: int = 0
    size: tuple[int, int] = (64, 48)
    frames: int = 12
    codec: str = "h264"
    pixels: str = "yuv420p"
    layout: str | None = None
    sound_rate: int = SOUND_RATE
    sound_codec: str = "aac"
    sound_starts: float = 0.0
    rotation: int = 0
    aspect: Fraction | None = None
    stamps: tuple[int, ...] | None = None
    options: dict[str, str] = field(default_factory=dict)

    def write(self, path: Any) -> str:
        with av.open(str(path / self.name), "w") as container:
            stream = container.add_stream(self.codec, rate=RATE)
            stream.width, stream.height = self.size
            stream.pix_fmt, stream.options = self.pixels, self.options
            if self.aspect:
                stream.codec_context.sample_aspect_ratio = self.aspect
            if self.rotation:
                stream.set_display_rotation(self.rotation)
            sound = self.layout and container.add_stream(self.sound_codec, rate=self.sound_rate, layout=self.layout)
            for number in range(self.frames):
                picture = av.VideoFrame.from_ndarray(self.picture(number), format="rgba").reformat(format=self.pixels)
                picture.pts = self.stamps[number] if self.stamps else number
                picture.time_base = Fraction(1, RATE)
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
            if sound:
                self._write_sound(container, sound)
        return str(path / self.name)

    def picture(self, number: int) -> np.ndarray:
        """Stripes that move, brighter to the right; half of it transparent."""
        width, height = self.size
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        wave = 127 + 60 * np.sin((columns + 3 * number) / 9) + 60 * columns / width
        colours = np.stack([wave, 255 - wave, 128 + 100 * np.cos(rows / 7), 255 * (columns > 9)], axis=-1)
        return colours.clip(0, 255).astype(np.uint8)

    def _write_sound(self, container: Any, stream: Any) -> None:
        seconds = (self.stamps or (self.frames,))[-1] / RATE
        times = np.arange(int(seconds * self.sound_rate)) / self.sound_rate
        channels = av.AudioLayout(self.layout).nb_channels
        tone = np.stack([0.5 * np.sin(2 * np.pi * 440 * (number + 1) * times) for number in range(channels)])
        interleaved = self.sound_codec.startswith("pcm")
        kind = "s16" if interleaved else "fltp"
        samples = (tone * 32767).astype(np.int16).T.reshape(1, -1) if interleaved else tone.astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format=kind, layout=self.layout)
        frame.sample_rate, frame.pts = self.sound_rate, round(self.sound_starts * self.sound_rate)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


FILES = [
    File("plain.mp4"),
    File("stereo.mp4", layout="stereo", channels=2),
    File("mono.mp4", layout="mono", channels=1),
    File("surround.mkv", layout="5.1", channels=6),
    File("odd_rate.mkv", layout="mono", sound_codec="pcm_s16le", sound_rate=22255, channels=1),
    File("late_sound.mp4", layout="mono", sound_starts=0.2, channels=1),
    File("odd_sides.mp4", size=(63, 47), pixels="yuv444p", finished=(84, 48)),
    File("portrait.mp4", size=(48, 96), finished=(170, 96)),
    File("turned_left.mp4", rotation=90, finished=(114, 64)),
    File("turned_right.mp4", rotation=-90, finished=(114, 64)),
    File("upside_down.mp4", rotation=180),
    File("uneven.mp4", stamps=(0, 1, 2, 5, 6, 7, 9, 14, 15, 16, 17, 20), seconds=0.84, layout="mono", channels=1),
    File("late_start.mkv", stamps=tuple(range(10, 22))),
    File("ten_bit.mp4", pixels="yuv420p10le", bit_depth=10),
    File(
        "ten_bit_hevc.mkv", codec="libx265", pixels="yuv420p10le", bit_depth=10, options={"x265-params": "log-level=0"}
    ),
    File("sixteen_bit.mkv", codec="ffv1", pixels="gbrp16le", bit_depth=10),
    File("alpha.mov", codec="qtrle", pixels="argb"),
    File("alpha.mkv", codec="ffv1", pixels="yuva420p"),
    File("alpha_ten_bit.mov", codec="prores_ks", pixels="yuva444p10le", bit_depth=10),
    File("pictures.mov", codec="png", pixels="rgba"),
    File("animation.gif", codec="gif", pixels="rgb8"),
    File("web.webm", codec="libvpx-vp9"),
    File("full_range.avi", codec="mjpeg", pixels="yuvj420p"),
    File("grey.mkv", codec="ffv1", pixels="gray"),
    File("no_stamps.h264"),
    File("one_frame.mp4", frames=1, seconds=0.04),
    File("one_frame_with_sound.mp4", frames=1, seconds=0.04, layout="mono", channels=1),
    File("long.mp4", size=(32, 24), finished=(42, 24), frames=5000, seconds=200, options={"preset": "ultrafast"}),
]


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_files_of_every_kind(file: File, load_video: Any, outpaint: Any, tmp_path: Any) -> None:
    source = load_video(file.write(tmp_path))
    video = outpaint(source)
    video.save_to(str(tmp_path / "finished.mp4"))
    written = load_video(str(tmp_path / "finished.mp4"))
    for result in (video, written):
        assert result.get_dimensions() == file.finished
        assert result.get_frame_count() == file.frames
        assert result.get_duration() == pytest.approx(file.seconds, abs=0.03)
        assert result.get_bit_depth() == file.bit_depth
    with av.open(str(tmp_path / "finished.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.format.name[:7]) == ("h264", "yuv420p")
    stamps = file.stamps or range(file.frames)
    assert times == pytest.approx([(stamp - stamps[0]) / RATE for stamp in stamps], abs=1e-3)
    sound = written.get_components().audio if file.frames < 1000 else None
    assert (sound["waveform"].shape[1] if sound else 0) == file.channels


def by_name(*names: str) -> list[File]:
    return [file for file in FILES if file.name in names]


SAME = [file for file in FILES if file.name not in ("no_stamps.h264", "long.mp4")]


@pytest.mark.parametrize("file", SAME, ids=[file.name for file in SAME])
def test_pictures_and_sound_are_read_as_comfyui_reads_them(
    pack: Any, file: File, load_video: Any, tmp_path: Any
) -> None:
    path = file.write(tmp_path)
    source = pack.module("m3ddm_core.video.file").FileSource(path)
    components = load_video(path).get_components()
    assert torch.equal(torch.stack(list(source.frames())), components.images)
    assert source.info.timeline.rate == components.frame_rate
    if components.audio and not file.sound_starts and source.sound.rate == components.audio["sample_rate"]:
        ours = np.concatenate(list(source.sound.blocks()), axis=1)
        theirs = components.audio["waveform"][0].numpy()[:, : ours.shape[1]]
        assert np.allclose(ours[:, : theirs.shape[1]], theirs, atol=1e-6)


@pytest.mark.parametrize(
    "file", by_name("plain.mp4", "ten_bit.mp4", "turned_left.mp4", "full_range.avi", "pictures.mov")
)
def test_the_source_is_in_the_finished_file(file: File, load_video: Any, outpaint: Any, tmp_path: Any) -> None:
    source = load_video(file.write(tmp_path))
    outpaint(source, feather=0).save_to(str(tmp_path / "finished.mp4"), crf=4)
    frames, whole = source.get_components().images, load_video(str(tmp_path / "finished.mp4")).get_components().images
    left = (whole.shape[2] - frames.shape[2]) // 2
    difference = (whole[:, :, left : left + frames.shape[2]] - frames)[:, 2:-2, 2:-2]
    assert difference.abs().mean() < 0.02, "but for what H.264 and colours at half size cost"
    assert difference.mean().abs() < 0.004, "the colours are not shifted"


def test_sound_that_begins_late_still_does(load_video: Any, outpaint: Any, tmp_path: Any) -> None:
    (file,) = by_name("late_sound.mp4")
    outpaint(load_video(file.write(tmp_path))).save_to(str(tmp_path / "finished.mp4"))
    sound = load_video(str(tmp_path / "finished.mp4")).get_components().audio
    loud = sound["waveform"][0, 0].abs() > 0.1
    assert loud.nonzero()[0].item() / sound["sample_rate"] == pytest.approx(0.2, abs=0.03)
    assert loud.nonzero()[-1].item() / sound["sample_rate"] == pytest.approx(0.48, abs=0.03)


def test_colours_and_titles_are_carried_over(load_video: Any, outpaint: Any, tmp_path: Any) -> None:
    with av.open(str(tmp_path / "wide.mp4"), "w") as container:
        stream = container.add_stream("h264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = 9, 9, 16
        container.metadata["title"] = "Wide"
        for number in range(4):
            picture = av.VideoFrame.from_ndarray(File("").picture(number), format="rgba")
            container.mux(stream.encode(picture.reformat(format="yuv420p10le", dst_colorspace=9)))
        container.mux(stream.encode(None))
    outpaint(load_video(str(tmp_path / "wide.mp4"))).save_to(
        str(tmp_path / "finished.mp4"), metadata={"prompt": {"1": 2}}
    )
    with av.open(str(tmp_path / "finished.mp4")) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (9, 9, 16)
        assert container.metadata["title"] == "Wide" and container.metadata["prompt"] == '{"1": 2}'


@pytest.mark.parametrize(("target", "finished"), [("16:9", (192, 108)), ("1:1", (192, 192)), ("21:9", (252, 108))])
def test_ratios_are_those_of_what_is_shown(
    target: str, finished: tuple[int, int], load_video: Any, outpaint: Any, tmp_path: Any
) -> None:
    """HDV in small: 144x108 pixels that are 4:3 are shown as 16:9."""
    path = File("hdv.mp4", size=(144, 108), aspect=Fraction(4, 3)).write(tmp_path)
    outpaint(load_video(path), target=target).save_to(str(tmp_path / "finished.mp4"))
    with av.open(str(tmp_path / "finished.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == finished and stream.sample_aspect_ratio in (None, 0, 1)


def test_eight_channels_of_a_file_are_saved(load_video: Any, outpaint: Any, tmp_path: Any) -> None:
    """ComfyUI itself cannot read them: PyAV reads past the eighth plane of a frame."""
    path = File("eight.mkv", layout="7.1", sound_codec="pcm_s16le").write(tmp_path)
    outpaint(load_video(path)).save_to(str(tmp_path / "finished.mp4"))
    with av.open(str(tmp_path / "finished.mp4")) as container:
        assert container.streams.audio[0].codec_context.layout.name == "7.1"


@pytest.mark.parametrize(
    ("waveform", "rate", "channels"),
    [(torch.rand(1, 8, 4800), 48000, 8), (torch.rand(1, 10, 4800), 48000, 2), (torch.rand(1, 2, 19200), 192000, 2)],
)
def test_any_sound_from_memory_is_saved(
    waveform: torch.Tensor, rate: int, channels: int, outpaint: Any, load_video: Any, shot: Any, tmp_path: Any
) -> None:
    video = of_memory(shot(1, 4), waveform, rate)
    outpaint(video).save_to(str(tmp_path / "finished.mp4"))
    with av.open(str(tmp_path / "finished.mp4")) as container:
        (stream,) = container.streams.audio
        assert (stream.codec_context.channels, stream.codec_context.sample_rate) == (channels, 48000)


def test_sound_that_is_no_number_is_told_before_sampling(outpaint: Any, shot: Any) -> None:
    with pytest.raises(ValueError, match="got sound that is NaN or infinite"):
        outpaint(of_memory(shot(1, 4), torch.full((1, 2, 800), float("nan")), 8000))


def of_memory(frames: torch.Tensor, waveform: torch.Tensor, rate: int) -> Any:
    from comfy_api.latest import InputImpl, Types

    audio = {"waveform": waveform, "sample_rate": rate}
    return InputImpl.VideoFromComponents(Types.VideoComponents(images=frames, audio=audio, frame_rate=Fraction(RATE)))


def test_a_file_that_breaks_off_gives_what_there_is(load_video: Any, outpaint: Any, tmp_path: Any) -> None:
    path = File("whole.mkv", codec="mjpeg", pixels="yuvj420p", frames=20).write(tmp_path)
    data = Path(path).read_bytes()
    video = outpaint(load_video(io.BytesIO(data[: len(data) // 2])))
    assert 5 <= video.get_frame_count() < 20
    video.save_to(str(tmp_path / "finished.mp4"))


def test_a_size_that_changes_is_refused(load_video: Any, outpaint: Any, tmp_path: Any) -> None:
    parts = [File(f"{size[0]}.h264", size=size).write(tmp_path) for size in ((64, 48), (96, 64))]
    (tmp_path / "both.h264").write_bytes(b"".join(Path(part).read_bytes() for part in parts))
    with pytest.raises(ValueError, match=r"64x48 and, from frame 12, of 96x64"):
        outpaint(load_video(str(tmp_path / "both.h264")))


def test_a_file_without_pictures_is_refused(load_video: Any, outpaint: Any, tmp_path: Any) -> None:
    with av.open(str(tmp_path / "sound.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        File("", layout="mono")._write_sound(container, stream)
    with pytest.raises(ValueError, match="without pictures"):
        outpaint(load_video(str(tmp_path / "sound.m4a")))
