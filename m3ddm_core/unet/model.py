"""The M3DDM U-Net (arXiv 2309.02119): Stable Diffusion 1.5's, inflated to video, with global frames instead of text."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import cpu
from .attention import Attention, SpatioTemporalTransformer
from .blocks import DownBlock, MidBlock, NoAttention, UpBlock
from .config import UNetConfig
from .global_encoder import GlobalEncoder
from .layers import Downsample, EmbeddingMLP, Pseudo3DConv, ResidualBlock, Upsample, channels_last, sinusoidal_embedding

TIME_MAX_PERIOD = 1000
FPS_MAX_PERIOD = 30
OPERATIONS = cpu.tuned(nn)


class M3DDMUNet(nn.Module):
    """Predicts the noise of a clip from its noisy latents, what is known of it, and the video's global tokens.

    ``operations`` supplies every layer (torch's or a host's), ``attention`` every attention. Parameter names and
    shapes are those of the published checkpoint. ``dtype`` is that of the weights.
    """

    def __init__(
        self,
        config: UNetConfig,
        *,
        operations: Any = OPERATIONS,
        attention: Attention = cpu.attention,
        dtype: torch.dtype | None = None,
        device: Any = None,
    ):
        super().__init__()
        self.config = config
        self.dtype = dtype or torch.get_default_dtype()
        factory = {"dtype": dtype, "device": device}
        layers = {"operations": operations, **factory}
        widths = config.block_out_channels
        self.embedding_dim = widths[0]
        inner_dim = 4 * self.embedding_dim

        def residual(in_channels: int, out_channels: int) -> ResidualBlock:
            return ResidualBlock(
                in_channels,
                out_channels,
                inner_dim,
                groups=config.norm_num_groups,
                eps=config.norm_eps,
                **layers,
            )

        def transformer(channels: int) -> SpatioTemporalTransformer:
            return SpatioTemporalTransformer(
                channels,
                config.cross_attention_dim,
                config.attention_heads,
                groups=config.norm_num_groups,
                attention=attention,
                **layers,
            )

        self.conv_in = operations.Conv3d(config.in_channels, widths[0], (1, 3, 3), padding=(0, 1, 1), **factory)
        self.time_embedding = EmbeddingMLP(self.embedding_dim, inner_dim, **layers)
        self.fps_embedding = EmbeddingMLP(self.embedding_dim, inner_dim, **layers)

        coarsest = len(widths) - 1
        self.down_blocks = nn.ModuleList()
        skips = [widths[0]]
        channels = widths[0]
        for level, width in enumerate(widths):
            resnets = [residual(channels if i == 0 else width, width) for i in range(config.layers_per_block)]
            attentions = [NoAttention() if level == coarsest else transformer(width) for _ in resnets]
            downsamplers = [] if level == coarsest else [Downsample(width, **layers)]
            self.down_blocks.append(DownBlock(resnets, attentions, downsamplers))
            skips += [width] * (len(resnets) + len(downsamplers))
            channels = width

        self.mid_block = MidBlock(
            [residual(channels, channels), residual(channels, channels)],
            [transformer(channels)],
        )

        self.up_blocks = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            resnets = []
            for _ in range(config.layers_per_block + 1):
                resnets.append(residual(channels + skips.pop(), width))
                channels = width
            attentions = [NoAttention() if level == coarsest else transformer(width) for _ in resnets]
            upsamplers = [] if level == 0 else [Upsample(width, **layers)]
            self.up_blocks.append(UpBlock(resnets, attentions, upsamplers))

        self.conv_norm_out = operations.GroupNorm(config.norm_num_groups, widths[0], eps=config.norm_eps, **factory)
        self.conv_out = Pseudo3DConv(widths[0], config.out_channels, **layers)
        self.global_img_encoder = GlobalEncoder(config.out_channels, config.cross_attention_dim, **layers).eval()

    def train(self, mode: bool = True) -> M3DDMUNet:
        """As usual, except that the global encoder's batch norms always use their stored statistics."""
        super().train(mode)
        self.global_img_encoder.eval()
        return self

    def encode_global(self, latents: Tensor) -> Tensor:
        """Turn the latents of the global frames (b, g, 4, h, w) into tokens (b, n, cross_attention_dim).

        All-zero latents give the tokens of the unconditional branch, which are not zero themselves.
        """
        return self.global_img_encoder(latents)

    def forward(
        self, x: Tensor, timesteps: Tensor, global_tokens: Tensor, fps: Tensor, transformer_options: dict | None = None
    ) -> Tensor:
        """Predict the noise.

        ``x`` (b, 9, f, h, w): noisy latents, masked-video latents, mask (1 = to be filled), in this order and in
        model space (times 0.18215). ``timesteps`` (b,) in 0..999, fractions allowed. ``global_tokens`` (b, n, c): what
        `encode_global` gives. ``fps`` (b,): frames a second of the clip as strided, floored here.
        ``transformer_options`` is handed to the attention. Returns (b, 4, f, h, w) of the dtype of ``x``.

        Raises ``ValueError`` where ``x`` has another number of axes or channels than the network.
        """
        if x.ndim != 5 or x.shape[1] != self.config.in_channels:
            raise ValueError(
                f"got an input of shape {tuple(x.shape)}, expected (b, {self.config.in_channels}, f, h, w): "
                "noisy latents, masked-video latents and mask, joined along the channels"
            )
        options = transformer_options if transformer_options is not None else {}
        time = sinusoidal_embedding(timesteps, self.embedding_dim, TIME_MAX_PERIOD).to(x.dtype)
        rate = sinusoidal_embedding(fps.floor(), self.embedding_dim, FPS_MAX_PERIOD).to(x.dtype)
        # Each residual block puts the embeddings through the same SiLU before its own projection: once is enough.
        conditioning = F.silu(self.time_embedding(time)), F.silu(self.fps_embedding(rate)), global_tokens, options

        x = self.conv_in(channels_last(x))
        skips = [x]
        for block in self.down_blocks:
            x, made = block(x, *conditioning)
            skips += made
        x = self.mid_block(x, *conditioning)
        for block in self.up_blocks:
            x = block(x, skips, *conditioning)
        return self.conv_out(F.silu(self.conv_norm_out(x)))
