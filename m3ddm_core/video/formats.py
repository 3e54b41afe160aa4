"""What kinds of files a video can be written to, and what may be asked of each. Needs the standard library alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

EIGHT_BIT, TEN_BIT = 8, 10
BIT_DEPTHS = (EIGHT_BIT, TEN_BIT)


@dataclass(frozen=True)
class Coding:
    """How pictures are stored: FFmpeg's names of the pixels in the file, and of those that the encoder is given.

    ``largest``: what white is in the latter.
    """

    stored: str
    given: str
    largest: int


@dataclass(frozen=True)
class FileFormat:
    """A kind of file. ``encoder``: FFmpeg's name; ``codings``: by bits of a colour; ``about``: what it is good for.

    ``containers``: FFmpeg's names by the suffixes of files, the usual one first; none is a folder of pictures.
    ``tag``: what the container is to call the codec, where that is not as usual. ``sound``: the encoder of the sound.
    ``sides``: width and height must be multiples of these. ``rated``: whether quality or bit rate can be asked for.
    ``light``: the option that takes what `light_of` says, if one does.
    """

    name: str
    about: str
    encoder: str
    codings: Mapping[int, Coding]
    containers: Mapping[str, str]
    sound: str
    sides: tuple[int, int] = (1, 1)
    rated: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    tag: str = ""
    light: str = ""

    @property
    def suffix(self) -> str:
        """The usual suffix of its files; empty for a folder of pictures."""
        return next(iter(self.containers), "")


EIGHT_BIT_YUV = Coding("yuv420p", "rgb24", 255)
# Sixteen bits hold what floats have for ten.
TEN_BIT_YUV = Coding("yuv420p10le", "rgb48le", 65535)
FOR_PLAYERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}

FORMATS: dict[str, FileFormat] = {
    kind.name: kind
    for kind in (
        FileFormat(
            "h264",
            "plays everywhere",
            "h264",
            {EIGHT_BIT: EIGHT_BIT_YUV, TEN_BIT: TEN_BIT_YUV},
            FOR_PLAYERS,
            "aac",
            sides=(2, 2),
            rated=True,
        ),
        FileFormat(
            "hevc",
            "smaller files, and HDR as players expect it",
            "libx265",
            {EIGHT_BIT: EIGHT_BIT_YUV, TEN_BIT: TEN_BIT_YUV},
            FOR_PLAYERS,
            "aac",
            sides=(2, 2),
            rated=True,
            # x265 writes to the console, past every log.
            options={"x265-params": "log-level=none"},
            tag="hvc1",
            light="x265-params",
        ),
        FileFormat(
            "prores",
            "ProRes 422 HQ, for editing: 10 bits, large files",
            "prores_ks",
            {TEN_BIT: Coding("yuv422p10le", "rgb48le", 65535)},
            {".mov": "mov", ".mkv": "matroska"},
            "pcm_s24le",
            sides=(2, 1),
            options={"profile": "hq", "vendor": "apl0"},
        ),
        FileFormat(
            "ffv1",
            "lossless RGB, for keeping: each frame comes back as it was",
            "ffv1",
            {EIGHT_BIT: Coding("bgr0", "rgb24", 255), TEN_BIT: Coding("gbrp10le", "gbrp10le", 1023)},
            {".mkv": "matroska"},
            "pcm_s24le",
        ),
        FileFormat(
            "png",
            "a folder of lossless pictures, of 16 bits where 10 are asked for, with sound.wav and times beside them",
            "png",
            {EIGHT_BIT: Coding("rgb24", "rgb24", 255), TEN_BIT: Coding("rgb48be", "rgb48be", 65535)},
            {},
            "pcm_s24le",
        ),
    )
}
SUFFIXES = {suffix for kind in FORMATS.values() for suffix in kind.containers}

BEST_QUALITY, WORST_QUALITY = 0, 51


@dataclass(frozen=True)
class Encoding:
    """How a video is to be written.

    ``format``: a key of `FORMATS`. ``bit_depth``: of the colours, 8 or 10 (what is above 10 is 10); None takes the
    source's. ``quality``: x264's and x265's CRF, 0 to 51, lower is better; ``bit_rate``: bits a second instead. Where
    neither is given, the quality is the encoder's own choice. ``preset``: their word for how fast they are to be.

    Raises ValueError for what cannot be.
    """

    format: str = "h264"
    bit_depth: int | None = None
    quality: float | None = None
    bit_rate: int | None = None
    preset: str | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"got the format {self.format!r}, expected one of {', '.join(FORMATS)}")
        if self.bit_depth is not None and self._depth(self.bit_depth) not in self.kind.codings:
            raise ValueError(f"got a bit depth of {self.bit_depth} for {self.format}, expected {self._depths()}")
        rates = (("quality", self.quality), ("bit rate", self.bit_rate), ("preset", self.preset))
        given = [(name, value) for name, value in rates if value is not None]
        if given and not self.kind.rated:
            rated = " or ".join(name for name, kind in FORMATS.items() if kind.rated)
            raise ValueError(
                f"got a {given[0][0]} of {given[0][1]} for {self.format}, expected none: it keeps all it can; leave it "
                f"out, or take {rated}"
            )
        if self.quality is not None and self.bit_rate is not None:
            raise ValueError(f"got a quality of {self.quality} and a bit rate of {self.bit_rate}, expected one of them")
        if self.quality is not None and not BEST_QUALITY <= self.quality <= WORST_QUALITY:
            raise ValueError(f"got a quality of {self.quality}, expected 0 (best) to 51; 18 is fine for most")
        if self.bit_rate is not None and self.bit_rate < 1:
            raise ValueError(f"got a bit rate of {self.bit_rate}, expected bits a second, as 8000000")

    @property
    def kind(self) -> FileFormat:
        return FORMATS[self.format]

    def coding(self, source_depth: int) -> Coding:
        """How pictures are stored that were made from a source of so many bits: the nearest that the format has."""
        depth = self._depth(source_depth if self.bit_depth is None else self.bit_depth)
        return self.kind.codings.get(depth) or next(iter(self.kind.codings.values()))

    def options(self, light: Mapping[str, str]) -> dict[str, str]:
        """The encoder's options, for a video of which `light_of` says this."""
        options = dict(self.kind.options)
        if self.quality is not None:
            options["crf"] = f"{self.quality:g}"
        if self.preset is not None:
            options["preset"] = self.preset
        if self.kind.light:
            said = [options[self.kind.light], *(f"{name}={text}" for name, text in light.items())]
            options[self.kind.light] = ":".join(said)
        return options

    def container(self, suffix: str) -> str:
        """FFmpeg's name of the container of files with a suffix, or the usual one."""
        containers = self.kind.containers
        return containers.get(suffix.lower()) or containers[self.kind.suffix]

    def require_name(self, target: Path) -> None:
        """Raise ValueError for a name that does not go with the format."""
        suffixes, suffix = self.kind.containers, target.suffix.lower()
        if suffixes and suffix not in suffixes:
            others = [name for name, kind in FORMATS.items() if suffix in kind.containers]
            remedy = f"; --format {others[0]} writes {suffix}" if others else ""
            raise ValueError(
                f"got {target} to write to, expected the name of an {' or '.join(suffixes)} file for the format "
                f"{self.format}{remedy}"
            )
        if not suffixes and suffix in SUFFIXES:
            raise ValueError(f"got {target} to write to, expected the name of a folder for the format {self.format}")

    def require_sides(self, size: tuple[int, int]) -> None:
        """Raise ValueError for frames (width, height) that the format does not take."""
        if any(side % multiple for side, multiple in zip(size, self.kind.sides, strict=True)):
            what = "even sides" if self.kind.sides == (2, 2) else "an even width"
            raise ValueError(
                f"got frames of {size[0]}x{size[1]}, expected {what}, which {self.format} asks for; set size_multiple "
                "to 2 or another even number"
            )

    def require_encoder(self) -> None:
        """Raise ValueError where this FFmpeg cannot write the format."""
        import av

        for name in (self.kind.encoder, self.kind.sound):
            try:
                av.Codec(name, "w")
            except av.codec.codec.UnknownCodecError:
                raise ValueError(
                    f"got the format {self.format}, for which the FFmpeg in this PyAV has no encoder {name}; run `pip "
                    "install --force-reinstall av`, or take another format"
                ) from None

    @staticmethod
    def _depth(bits: int) -> int:
        return TEN_BIT if bits >= TEN_BIT else EIGHT_BIT

    def _depths(self) -> str:
        return " or ".join(str(bits) for bits in self.kind.codings)
