"""A hundred and more odd, broken and hostile video files, each with what is to come of it.

Everything is made with PyAV, by number and seed: equal files on every machine that has the same FFmpeg.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.helpers.video_parts import Film, Tone, listed_channels, patched, remuxed, write_film

Make = Callable[[Path], object]


@dataclass(frozen=True)
class Odd:
    """One file. ``frames``: how many come out, of ``size`` and ``seconds``, with so many ``channels`` of sound.

    ``frames`` may be a least and a most, 0 for one that may be refused; None is a file that is refused. What is None of
    the others may be anything. ``says``: what must stand in the refusal, or in the log.
    """

    name: str
    make: Make
    frames: int | tuple[int, int] | None = 8
    size: tuple[int, int] | None = (64, 48)
    seconds: float | None = 0.32
    channels: int | tuple[int, int] = 0
    says: str = ""


def film(*tones: Tone, form: str | None = None, title: str = "", **options: Any) -> Make:
    """Make a whole file of these pictures and sound tracks."""
    pictures, metadata = Film(**options), {"title": title} if title else {}
    return lambda path: write_film(path, pictures, *tones, form=form, metadata=metadata)


def cut_off(share: float, pictures: Film, **options: Any) -> Make:
    """Make a file, and keep a share of its bytes."""

    def make(path: Path) -> None:
        data = write_film(path, pictures, **options).read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return make


def flipped(seed: int, pictures: Film, *tones: Tone) -> Make:
    """Make a file, and change one byte in two hundred."""

    def make(path: Path) -> None:
        data = np.frombuffer(write_film(path, pictures, *tones).read_bytes(), np.uint8).copy()
        draw = np.random.default_rng(seed)
        places = draw.integers(0, len(data), max(len(data) // 200, 3))
        data[places] = draw.integers(0, 256, len(places))
        path.write_bytes(data.tobytes())

    return make


def damaged(blank: range | list[int], *tones: Tone, stream: int = 0) -> Make:
    """Make a file of twenty frames with some packets blanked."""

    def make(path: Path) -> None:
        whole = write_film(path.with_name(f"whole_{path.name}"), Film(frames=20), *tones)
        remuxed(whole, path, damaged={stream: blank})

    return make


def joined(*parts: tuple[Film, list[Tone]]) -> Make:
    """Make one file out of several, end to end."""

    def make(path: Path) -> None:
        made = [
            write_film(path.with_name(f"{number}_{path.name}"), pictures, *tones)
            for number, (pictures, tones) in enumerate(parts)
        ]
        path.write_bytes(b"".join(part.read_bytes() for part in made))

    return make


def holding(data: bytes) -> Make:
    return lambda path: path.write_bytes(data)


def claiming(box: bytes, offset: int, new: bytes, **options: Any) -> Make:
    """Make an MP4 file, and write something else into one of its boxes."""
    pictures = Film("h264", frames=20, options={"bf": "2"}, **options)
    return lambda path: patched(write_film(path, pictures), box, offset, new)


def overwritten(offset: int, new: bytes, **options: Any) -> Make:
    """Make a file, and write something else at a place in it."""

    def make(path: Path) -> None:
        data = bytearray(write_film(path, Film(**options)).read_bytes())
        data[offset : offset + len(new)] = new
        path.write_bytes(data)

    return make


def early(path: Path) -> None:
    """A Matroska file that begins 0.4 seconds before 0."""
    whole = write_film(path.with_name("whole.mkv"), Film(frames=20), Tone(seconds=0.8))
    remuxed(whole, path, shift=-0.4)


def only_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        tone = Tone()
        tone.write(container, container.add_stream(tone.codec, rate=tone.rate, layout=tone.layout))


def renamed_in(old: bytes, new: bytes, *tones: Tone, **options: Any) -> Make:
    """Make a file, and put other bytes of the same number in place of some."""

    def make(path: Path) -> None:
        film(*tones, **options)(path)
        path.write_bytes(path.read_bytes().replace(old, new))

    return make


def claiming_frame(side: int) -> Make:
    """Make an AVI file whose head says that its frames are squares of so many pixels."""

    def make(path: Path) -> None:
        data = bytearray(write_film(path, Film("rawvideo")).read_bytes())
        struct.pack_into("<ii", data, data.index(b"strf") + 12, side, side)
        path.write_bytes(data)

    return make


LONG_TONE = Tone(codec="aac", rate=48000, seconds=0.8)
MOTION, FRONT = Film("mjpeg", "yuvj420p", frames=20), {"movflags": "faststart"}
ANY = (0, 20)
"""Whatever can be had: flipped bytes may hit anything."""

VP8_64x48, VP8_16383x16383 = b"\x9d\x01\x2a\x40\x00\x30\x00", b"\x9d\x01\x2a\xff\x3f\xff\x3f"
"""How a key frame begins."""

BIG = struct.pack(">I", 0x7FFFFFFF)
FAST = {"preset": "ultrafast"}

CODECS = [
    Odd("plain.mp4", film(codec="h264")),
    Odd("hevc.mp4", film(codec="libx265", options={**FAST, "x265-params": "log-level=none"})),
    Odd("av1.mkv", film(codec="libsvtav1", size=(64, 64), options={"preset": "12"}), size=(64, 64)),
    Odd("part2.mp4", film(codec="mpeg4")),
    Odd("motion.mp4", film(codec="mjpeg", pixels="yuvj420p")),
    Odd("prores.mov", film(codec="prores_ks", pixels="yuv422p10le")),
    Odd("animation.mov", film(codec="qtrle", pixels="rgb24")),
    Odd("pictures.mov", film(codec="png", pixels="rgb24")),
    Odd("broadcast.mxf", film(codec="mpeg2video")),
    Odd("huffman.avi", film(codec="huffyuv", pixels="yuv422p")),
    Odd("utvideo.avi", film(codec="utvideo", pixels="yuv420p")),
    Odd("magic.avi", film(codec="magicyuv", pixels="yuv420p")),
    Odd("lossless.nut", film(codec="ffv1")),
    Odd("raw.avi", film(codec="rawvideo", pixels="yuv420p")),
    Odd("raw.nut", film(codec="rawvideo", pixels="rgb24")),
    Odd("motion.avi", film(codec="mjpeg", pixels="yuvj422p")),
    Odd("old.avi", film(codec="msmpeg4v2")),
    Odd("windows.wmv", film(codec="wmv2")),
    Odd("flash.flv", film(codec="flv")),
    Odd("phone.3gp", film(codec="h263", size=(176, 144)), size=(192, 144)),
    Odd("disc.mpg", film(codec="mpeg2video")),
    Odd("disc.vob", film(codec="mpeg2video")),
    Odd("video_cd.mpg", film(codec="mpeg1video")),
    Odd("broadcast.ts", film(codec="h264")),
    Odd("broadcast.m2ts", film(codec="mpeg2video")),
    Odd("vp8.webm", film(codec="libvpx", options={"deadline": "realtime"})),
    Odd("vp9.webm", film(codec="libvpx-vp9", options={"deadline": "realtime"})),
    Odd("stream.ivf", film(codec="libvpx", options={"deadline": "realtime"})),
    Odd("animation.gif", film(codec="gif", pixels="rgb8")),
    Odd("animation.apng", film(codec="apng", pixels="rgb24"), frames=8),
    Odd("stream.h264", film(codec="h264")),
    Odd("stream.y4m", film(codec="wrapped_avframe")),
    Odd("camera.dv", film(codec="dvvideo", pixels="yuv420p", size=(720, 576)), size=(768, 576)),
]

PIXELS = [
    *(
        Odd(f"{pixels}.mkv", film(codec="ffv1", pixels=pixels))
        for pixels in (
            *("yuv422p", "yuv444p", "yuv410p", "yuv411p", "yuv440p", "yuv420p10le", "yuv422p12le", "yuv444p16le"),
            *("gray", "gray10le", "gray16le", "bgr0", "bgra", "gbrp10le", "gbrp16le", "yuva420p", "yuva444p10le"),
        )
    ),
    Odd("colours_8_1_13.mp4", film(codec="h264", colours=(8, 1, 13)), None, says="not supported"),
    *(
        Odd(f"colours_{'_'.join(map(str, colours))}.mp4", film(codec="h264", colours=colours))
        for colours in ((1, 1, 1), (5, 5, 6), (6, 6, 6), (7, 7, 7), (9, 9, 16), (9, 9, 18), (2, 2, 2))
    ),
]

SIZES = [
    *(
        Odd(f"{width}x{height}.mkv", film(codec="ffv1", pixels="bgr0", size=(width, height)), size=(width, height))
        for width, height in ((1, 1), (7, 13), (14, 20), (40, 8), (2, 600), (601, 3), (63, 47))
    ),
    *(
        Odd(f"{width}x{height}.mp4", film(codec="h264", size=(width, height)), size=(width, height))
        for width, height in ((2, 2), (14, 20), (40, 8), (130, 18))
    ),
    Odd("changes.h264", joined((Film("h264"), []), (Film("h264", size=(96, 64)), [])), None, says="64x48 and, from"),
    Odd("hdv.mp4", film(size=(144, 108), aspect=Fraction(4, 3)), size=(192, 108)),
    Odd("ntsc.mkv", film(size=(72, 48), aspect=Fraction(8, 9)), size=(72, 54)),
    Odd("pixels_of_30.mp4", film(aspect=Fraction(30)), says="taken as square"),
]

TURNED = [
    Odd(
        f"turned_{degrees}{'_mirrored' * mirrored}{'_upended' * upended}.mp4",
        film(turn=(degrees, mirrored, upended)),
        size=(48, 64) if degrees % 180 else (64, 48),
    )
    for degrees in (0, 90, 180, -90)
    for mirrored, upended in ((False, False), (True, False), (False, True))
]

TIMES = [
    Odd("uneven.mp4", film(codec="h264", stamps=(0, 1, 2, 5, 6, 7, 14, 20), options={"bf": "0"}), seconds=0.84),
    Odd("late_start.mkv", film(stamps=tuple(range(50, 58)))),
    Odd("early_start.mkv", early, 20, seconds=0.8, channels=1),
    Odd("leaps.mkv", film(Tone(), codec="ffv1", stamps=(0, 1, 2, 3, *range(10**8, 10**8 + 4))), channels=1),
    Odd("held_back.avi", film(codec="mpeg4", frames=20, options={"bf": "2"}), 20, seconds=0.8),
    Odd("goes_back.ts", joined(*[(Film("mpeg2video"), [])] * 3), 24, seconds=None),
    Odd("slow.mkv", film(rate=Fraction(1, 10)), seconds=80),
    Odd("fast.mkv", film(rate=Fraction(500)), seconds=0.016),
    Odd("ntsc_rate.mp4", film(codec="h264", rate=Fraction(30000, 1001)), seconds=8 * 1001 / 30000),
    Odd("one_frame.mp4", film(Tone(codec="aac", rate=48000), frames=1), 1, seconds=0.04, channels=1),
]

SOUND = [
    *(
        Odd(f"{layout}_{codec}.{suffix}", film(Tone(layout, codec, rate)), channels=channels)
        for layout, codec, rate, suffix, channels in (
            ("mono", "pcm_s16le", 8000, "mkv", 1),
            ("stereo", "aac", 48000, "mp4", 2),
            ("stereo", "mp2", 48000, "ts", 2),
            ("stereo", "flac", 96000, "mkv", 2),
            ("stereo", "alac", 44100, "mov", 2),
            ("stereo", "libopus", 48000, "mkv", 2),
            ("5.1", "ac3", 48000, "mkv", 6),
            ("5.1(side)", "eac3", 48000, "mp4", 6),
            ("6.1", "pcm_s16le", 48000, "mkv", 2),
            ("7.1", "pcm_s16le", 48000, "mov", 8),
            ("7.1", "aac", 48000, "mp4", 8),
            ("7.1", "flac", 48000, "mkv", 8),
            ("8 channels", "pcm_s16le", 48000, "mkv", 8),
            ("10 channels", "pcm_s16le", 48000, "mkv", 2),
            ("hexadecagonal", "pcm_s16le", 48000, "mov", 2),
            ("mono", "pcm_u8", 22255, "avi", 1),
            ("stereo", "pcm_f32le", 192000, "mkv", 2),
        )
    ),
    Odd("listed.mov", lambda path: listed_channels(write_film(path, None, Tone("2.1")), (2, 1, 4)), channels=3),
    Odd("repeats.avi", film(Tone("stereo", "libmp3lame", 44100)), seconds=0.36, channels=2),
    Odd("late_sound.mkv", film(Tone(starts=0.2, seconds=0.1)), channels=1),
    Odd("long_sound.mkv", film(Tone(seconds=5)), channels=1),
    Odd("two.mkv", film(Tone(level=0, default=False, title="Mike"), Tone("stereo")), channels=2, says="Mike"),
    Odd("nine.mkv", film(Tone("stereo"), *[Tone(level=0, default=False)] * 8), channels=2),
    Odd(
        "first_broken.mp4",
        damaged([0], Tone(codec="aac", rate=48000, seconds=0.8), stream=1),
        20,
        channels=1,
        seconds=0.8,
    ),
    Odd(
        "changes.ts",
        joined(
            (Film("mpeg2video"), [Tone("5.1", "ac3", 48000)]),
            (Film("mpeg2video"), [Tone("stereo", "ac3", 44100)]),
        ),
        16,
        seconds=None,
        channels=6,
    ),
    Odd("no_decoder.mov", renamed_in(b"sowt", b"zzzz", Tone("stereo")), says="cannot be decoded and is left out"),
]

NAMES = [
    *(
        Odd(name, film(form="mp4"))
        for name in (
            *("Видео про кота.mp4", "扩展视频.mp4", "🐈 & 🐕.mp4", "two  spaces # and 100%.mp4", "take:2.mp4"),
            *("-y.mp4", "frame%03d.mp4", "a'b\"c.mp4", f"{'long ' * 45}.mp4", "no_suffix", "wrong_suffix.txt"),
        )
    ),
    Odd("title.mkv", film(title="Ein Film über Äpfel")),
    Odd("latin.mkv", renamed_in(b"Title in Latin", b"Titel \xfcber Eis", title="Title in Latin")),
]

TRUNCATED = [
    Odd("no_index.mp4", cut_off(0.5, Film("h264", frames=20)), None, says="cannot be read"),
    Odd("front.mp4", cut_off(0.7, MOTION, options=FRONT), (8, 19), seconds=None, says="breaks off"),
    Odd("head_only.mp4", cut_off(0.05, MOTION, options=FRONT), None),
    Odd("cut.mkv", cut_off(0.6, Film("ffv1", frames=20)), (8, 19), seconds=None, says="breaks off"),
    Odd("cut.webm", cut_off(0.9, Film("libvpx", frames=20)), (1, 19), seconds=None, says="breaks off"),
    Odd("cut.flv", cut_off(0.6, Film("flv", frames=20)), (2, 19), seconds=None, says="breaks off"),
    Odd("cut.ts", cut_off(0.6, Film("mpeg2video", frames=20)), (4, 19), seconds=None),
    Odd("cut.mpg", cut_off(0.6, Film("mpeg2video", frames=20)), (4, 19), seconds=None),
    Odd("cut.avi", cut_off(0.8, Film("mjpeg", "yuvj420p", frames=20)), (4, 19), seconds=None),
    Odd("cut.gif", cut_off(0.6, Film("gif", "rgb8", frames=20)), (4, 19), seconds=None),
    Odd("cut.h264", cut_off(0.9, Film("h264", frames=20)), (2, 20), seconds=None),
    Odd("head_only.mkv", cut_off(0.01, Film("ffv1", frames=20)), None),
]

DAMAGED = [
    Odd("first.mkv", damaged([0]), (1, 19), seconds=None, says="first.mkv is damaged"),
    Odd("some.mkv", damaged([3, 9, 15]), 17, seconds=0.8, says="is damaged: 3 of its 20 frames are lost"),
    Odd("most.mp4", damaged(range(4, 20)), 4, seconds=None, says="is damaged: 16 of its 20 frames are lost"),
    Odd("all.mkv", damaged(range(20)), None, says="without a frame"),
    *(
        Odd(f"flipped_{seed}.{suffix}", flipped(seed, Film(codec, frames=20), *tones), ANY, seconds=None, channels=ANY)
        for suffix, codec, *tones in (
            ("mp4", "h264", LONG_TONE),
            ("mkv", "mpeg4", Tone(codec="ac3", rate=48000, seconds=0.8)),
            ("avi", "mpeg4", Tone(seconds=0.8)),
            ("ts", "mpeg2video", Tone(codec="mp2", rate=48000, seconds=0.8)),
            ("webm", "libvpx"),
            ("flv", "flv"),
        )
        for seed in range(4)
    ),
]

NO_VIDEOS = [
    Odd("empty.mp4", holding(b""), None, says="which is empty"),
    Odd("text.mp4", holding(b"Some words, and no video.\n" * 40), None, says="cannot be read"),
    Odd("page.mkv", holding(b"<!doctype html><html><body>404 Not Found</body></html>"), None, says="cannot be read"),
    Odd("archive.mp4", holding(b"PK\x03\x04" + bytes(400)), None, says="cannot be read"),
    Odd("noise.mp4", holding(np.random.default_rng(0).bytes(20_000)), None),
    Odd("zeros.mkv", holding(bytes(20_000)), None),
    Odd("words.srt", holding(b"1\n00:00:00,000 --> 00:00:01,000\nWords\n"), None, says="without pictures"),
    Odd("sound.wav", only_sound, None, says="without pictures"),
    Odd("folder.mp4", Path.mkdir, None),
    Odd("missing.mp4", lambda path: None, None, says="where no file lies"),
    Odd("secret.m3u8", holding(b"#EXTM3U\n#EXTINF:9,\n/etc/passwd\n#EXT-X-ENDLIST\n"), None),
    Odd("secret.mp4", holding(b"#EXTM3U\n#EXTINF:9,\nhttp://localhost:9/a.ts\n#EXT-X-ENDLIST\n"), None),
    Odd("list.mp4", holding(b"ffconcat version 1.0\nfile '/etc/passwd'\n"), None),
    Odd("list.mpd", holding(b'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>'), None),
    Odd("address.sdp", holding(b"v=0\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n"), None),
]

CLAIMS = [
    *(
        Odd(f"{box.decode()}_of_2_31.mp4", claiming(box, offset, BIG), (0, 20), seconds=None)
        for box, offset in ((b"stsz", 8), (b"stts", 4), (b"stsc", 4), (b"stco", 4), (b"stss", 4), (b"ctts", 4))
    ),
    Odd("sizes_of_2_31.mp4", claiming(b"stsz", 4, BIG), (0, 20), seconds=None),
    Odd("offsets_beyond.mp4", claiming(b"stco", 8, BIG), (0, 20), seconds=None),
    *(
        Odd(f"{box.decode()}_{name}.mp4", claiming(box, 12, value), (0, 20), seconds=None)
        for box in (b"mdhd", b"mvhd", b"elst")
        for name, value in (("0", bytes(4)), ("1", b"\0\0\0\1"), ("of_2_31", BIG), ("negative", b"\x80\0\0\0"))
    ),
    Odd("lasts_for_years.mp4", claiming(b"stts", 8, BIG), (0, 20), seconds=None),
    Odd("shown_huge.mp4", claiming(b"tkhd", 76, struct.pack(">II", 60000 << 16, 60000 << 16)), 20, None, seconds=0.8),
    Odd("no_codec.mp4", claiming(b"stsd", 12, b"zzzz"), None, says="no decoder"),
    Odd("screen_of_65535.gif", overwritten(6, b"\xff\xff\xff\xff", codec="gif", pixels="rgb8"), None),
    Odd("packet_of_16383.webm", renamed_in(VP8_64x48, VP8_16383x16383, codec="libvpx"), None, says="without a frame"),
    Odd("frame_of_16000.avi", claiming_frame(16_000), None, says="16000x16000"),
]

ODD_VIDEOS: dict[str, list[Odd]] = {
    "containers and codecs": CODECS,
    "pixel formats and colours": PIXELS,
    "sizes and shapes of pixels": SIZES,
    "turned and mirrored": TURNED,
    "times": TIMES,
    "sound": SOUND,
    "names and titles": NAMES,
    "broken off": TRUNCATED,
    "damaged": DAMAGED,
    "no videos, and lists of other files": NO_VIDEOS,
    "tables and frames that claim too much": CLAIMS,
}
"""By kind."""
