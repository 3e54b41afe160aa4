"""What may stand in the TOML file that describes the training of a network, and within which bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..canvas.placement import LATENT_SCALE
from ..sampling.advice import Advice
from ..sampling.settings import SamplingSettings
from ..sampling.solvers import PNDM, SAMPLERS, SCHEDULERS
from ..synthetic.worlds import KINDS
from .masks import MAX_STRIDE, RATIO, STRATEGIES, STRIDE_SHARES
from .schema import Sections, choice, number, parse_sections

SMALLEST_GLOBAL_SIZE = 48
"""Below it no token is left of a global frame."""


@dataclass(frozen=True)
class Run:
    """How long, how large, how often saved. ``output``: the run's folder, from the configuration's own.

    ``graphs``: a network's step is recorded once and replayed (CUDA graphs).
    """

    output: str
    steps: int = number(100_000, 1, 10**9)
    seed: int = number(0, 0, 2**31 - 1)
    batch: int = number(1, 1, 4096)
    accumulation: int = number(1, 1, 4096)
    precision: str = choice("no", "no", "fp16", "bf16")
    compile: bool = False
    graphs: bool = False
    workers: int = number(0, 0, 256)
    save_every: int = number(1000, 1, 10**9)
    keep: int = number(2, 1, 1000)
    log_every: int = number(10, 1, 10**9)
    sample_every: int = number(0, 0, 10**9)
    export_dtype: str = choice("fp16", "fp32", "fp16", "bf16")


@dataclass(frozen=True)
class Network:
    """What the network is and what its weights start from (``weights``: a checkpoint; SD 1.5's U-Net for ``sd15``).

    ``start`` "image": from a checkpoint too, as it is but for the temporal parts, which begin as nothing.
    """

    start: str = choice("nothing", "nothing", "sd15", "m3ddm", "image")
    weights: str = ""
    block_out_channels: tuple[int, ...] = field(default=(320, 640, 1280, 1280), metadata={"low": 8, "high": 4096})
    layers_per_block: int = number(2, 1, 8)
    cross_attention_dim: int = number(320, 8, 4096)
    attention_heads: int = number(8, 1, 64)
    norm_num_groups: int = number(32, 1, 256)
    gradient_checkpointing: bool = False


@dataclass(frozen=True)
class Objective:
    """What is predicted, and what counts how much.

    ``weighting``: ``min_snr`` is min-SNR-5 (arXiv 2303.09556). ``timesteps``: drawn evenly, or the larger of two draws.
    ``hidden_weight``: how much more an error in the hidden area counts than one in the known. ``drop_context``,
    ``drop_global``: how often a condition is withheld. ``guide_noise``: the largest timestep to which frames
    given whole are noised (condition perturbation).
    """

    prediction: str = choice("epsilon", "epsilon", "v_prediction")
    weighting: str = choice("none", "none", "min_snr")
    timesteps: str = choice("even", "even", "noisy")
    hidden_weight: float = number(1.0, 1.0, 100.0)
    masks: str = choice("m3ddm", *STRATEGIES)
    ratio: tuple[float, ...] = field(default=RATIO, metadata={"low": 0.01, "high": 0.99, "length": 2})
    drop_context: float = number(0.1, 0.0, 1.0)
    drop_global: float = number(0.1, 0.0, 1.0)
    guide_noise: int = number(0, 0, 999)


@dataclass(frozen=True)
class Optimizer:
    """AdamW and the average of the weights that is kept beside them (diffusers' EMA, warmed up with this power)."""

    lr: float = number(1e-4, 0.0, 1.0)
    warmup: int = number(500, 0, 10**9)
    schedule: str = choice("constant", "constant", "cosine")
    beta1: float = number(0.9, 0.0, 0.9999)
    beta2: float = number(0.999, 0.0, 0.999999)
    weight_decay: float = number(0.01, 0.0, 10.0)
    clip: float = number(1.0, 0.0, 1e6)
    ema_decay: float = number(0.9999, 0.0, 0.9999999)
    ema_power: float = number(0.75, 0.01, 2.0)


@dataclass(frozen=True)
class Data:
    """What clips look like, and how often one that was encoded is learnt from.

    ``size``: width and height in pixels. ``frames``: with 1, single pictures train the network without its temporal
    parts. ``video_frames``: how much of a video the global frames are spread over. ``global_frames``: ``masked`` is the
    paper's (the whole picture under the clip's mask), ``cropped`` is what outpainting gives the network: the source
    alone, stretched. ``global_count`` 0: always as where they are withheld. ``rounds``: how often encoded clips are
    gone over, with other noise and other timesteps, ``pool`` batches of them in an order drawn anew each time.
    ``cache``: a folder for latents, ``cache_clips`` of them, which then come up again and again; every other time
    played backwards, with ``cache_backwards``.
    """

    size: tuple[int, ...] = field(default=(256, 256), metadata={"low": 16, "high": 4096, "length": 2})
    frames: int = number(16, 1, 64)
    max_stride: int = number(MAX_STRIDE, 1, 120)
    strides: str = choice("even", *STRIDE_SHARES)
    video_frames: int = number(480, 16, 100_000)
    fps: float = number(24.0, 1.0, 240.0)
    global_frames: str = choice("masked", "masked", "cropped")
    global_count: int = number(16, 0, 64)
    global_size: int = number(256, SMALLEST_GLOBAL_SIZE, 1024)
    rounds: int = number(1, 1, 1000)
    pool: int = number(1, 1, 10_000)
    cache: str = ""
    cache_clips: int = number(0, 0, 10**9)
    cache_backwards: bool = False


@dataclass(frozen=True)
class Sources:
    """The share of clips from each source: films, photographs panned over, panoramas turned in, painted scenes."""

    film: float = number(0.0, 0.0, 1e6)
    photo: float = number(0.0, 0.0, 1e6)
    panorama: float = number(0.0, 0.0, 1e6)
    synthetic: float = number(1.0, 0.0, 1e6)


@dataclass(frozen=True)
class Material:
    """The folder of each kind of material, looked through with all its folders.

    ``cutout``: pictures with transparent parts, which cross photographs and panoramas. ``store``: where all of it is
    kept decoded (in the run's folder if it is not said), at most ``store_gb`` of each kind.
    """

    film: str = ""
    photo: str = ""
    panorama: str = ""
    cutout: str = ""
    store: str = ""
    store_gb: float = number(20.0, 0.001, 1e6)


@dataclass(frozen=True)
class Synthetic:
    """The range of painted scenes, and of the camera wherever it moves by itself.

    ``speed`` as a share of the view's width per frame, lowest and highest.
    """

    kinds: tuple[str, ...] = field(default=KINDS, metadata={"choices": KINDS})
    speed: tuple[float, ...] = field(default=(0.0, 0.03), metadata={"low": 0.0, "high": 1.0, "length": 2})
    travel: float = number(1.5, 0.0, 20.0)
    zoom: float = number(0.15, 0.0, 0.9)
    shake: float = number(0.004, 0.0, 0.2)
    detail: tuple[float, ...] = field(default=(0.2, 1.0), metadata={"low": 0.0, "high": 1.0, "length": 2})
    sprites: int = number(3, 0, 20)


@dataclass(frozen=True)
class Use:
    """How the trained network is best used; it is written into the weights' own file, and taken where nobody asks else.

    ``canvas_size`` 0: the longer side of the clips that it was trained on.
    """

    sampler: str = choice(PNDM, *SAMPLERS)
    scheduler: str = choice("normal", *SCHEDULERS)
    steps: int = number(50, 1, 1000)
    context_scale: float = number(2.0, 0.0, 30.0)
    global_scale: float = number(4.0, 0.0, 30.0)
    canvas_size: int = number(0, 0, 4096)


@dataclass(frozen=True)
class Vae:
    """The autoencoder: a TAESD-format file (``taesd_encoder.``...) or a diffusers folder or file of SD 1.x's VAE."""

    path: str


@dataclass(frozen=True)
class Config(Sections):
    """A whole run of an M3DDM network."""

    run: Run
    vae: Vae
    network: Network = Network()
    objective: Objective = Objective()
    optimizer: Optimizer = Optimizer()
    data: Data = Data()
    sources: Sources = Sources()
    material: Material = Material()
    synthetic: Synthetic = Synthetic()
    use: Use = Use()
    folder: str = "."

    def advice(self) -> Advice:
        """What goes into the weights' file of how they are used."""
        values = dict(vars(self.use))
        canvas_size = values.pop("canvas_size") or max(self.data.size)
        return Advice(SamplingSettings().changed(values), canvas_size)


def parse_config(content: dict[str, Any], *, folder: str = ".", name: str = "configuration") -> Config:
    """Check the sections of a configuration and fill in what is left out. Raises `ConfigError`."""
    return parse_sections(Config, content, _contradictions, folder=folder, name=name)


def missing_material(config: Sections, sources: Sources, folders: Material) -> list[str]:
    """Folders that the shares ask for and that are not there, as seen from the configuration's own."""
    shares, material = vars(sources), vars(folders)
    if not any(shares.values()):
        return ["sources: got no share above 0, expected at least one"]
    needed = [kind for kind, share in shares.items() if share and kind != "synthetic"]
    needed += ["cutout"] if material["cutout"] else []
    return [
        f"material.{kind}: got {material[kind]!r}, expected a folder that is there"
        for kind in needed
        if not (material[kind] and config.path(material[kind]).is_dir())
    ]


def _contradictions(config: Config) -> list[str]:
    """What is wrong between keys that are right each by itself."""
    problems = []
    network, data = config.network, config.data
    for key, divisor in (("attention_heads", network.attention_heads), ("norm_num_groups", network.norm_num_groups)):
        bad = [width for width in network.block_out_channels if width % divisor]
        if bad:
            problems.append(f"network.block_out_channels: got {bad}, expected multiples of {key} = {divisor}")
    for key, pair in (
        ("ratio", config.objective.ratio),
        *((k, getattr(config.synthetic, k)) for k in ("speed", "detail")),
    ):
        if pair[0] > pair[1]:
            problems.append(f"{key}: got {list(pair)}, expected the lower number first")
    for key, side in (
        ("data.size", data.size[0]),
        ("data.size", data.size[1]),
        ("data.global_size", data.global_size),
        ("use.canvas_size", config.use.canvas_size),
    ):
        if side % LATENT_SCALE:
            problems.append(f"{key}: got {side}, expected a multiple of {LATENT_SCALE}")
    if data.video_frames < data.frames:
        problems.append(f"data.video_frames: got {data.video_frames}, expected at least data.frames = {data.frames}")
    if bool(data.cache) != bool(data.cache_clips):
        problems.append("data.cache, data.cache_clips: got one without the other, expected both or neither")
    problems += missing_material(config, config.sources, config.material)
    if network.start != "nothing" and not (network.weights and config.path(network.weights).exists()):
        problems.append(
            f"network.weights: got {network.weights!r}, expected the file that start = {network.start!r} needs"
        )
    if network.start == "m3ddm" and data.frames == 1:
        problems.append("network.start: got 'm3ddm' with data.frames = 1, which would forget motion; expected 'image'")
    if network.start == "nothing" and network.weights:
        problems.append("network.weights: got a file, expected none with start = 'nothing'")
    if not config.path(config.vae.path).exists():
        problems.append(f"vae.path: got {config.vae.path!r}, expected a file or folder that exists")
    return problems
