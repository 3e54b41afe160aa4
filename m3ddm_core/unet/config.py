"""What a U-Net of the M3DDM family is made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of one network.

    ``in_channels`` counts noisy latents, masked-video latents and the mask (4 + 4 + 1); ``block_out_channels`` are the
    widths of the levels from the finest to the coarsest, the coarsest one without attention. ``cross_attention_dim``
    is the width of the global tokens and ``attention_heads`` the number of heads at every level. ``norm_eps`` belongs
    to the residual blocks and the output; transformers have their own constant.
    """

    in_channels: int
    out_channels: int
    block_out_channels: tuple[int, ...]
    layers_per_block: int
    cross_attention_dim: int
    attention_heads: int
    norm_num_groups: int
    norm_eps: float


M3DDM_CONFIG = UNetConfig(
    in_channels=9,
    out_channels=4,
    block_out_channels=(320, 640, 1280, 1280),
    layers_per_block=2,
    cross_attention_dim=320,
    attention_heads=8,
    norm_num_groups=32,
    norm_eps=1e-5,
)
