"""The network, looking at a large canvas in overlapping tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.patcher_extension
import torch
from comfy_api.latest import io

from ..m3ddm_core.canvas.limits import MOST_CANVAS
from ..m3ddm_core.canvas.placement import LATENT_SCALE
from ..m3ddm_core.sampling.tiles import in_tiles, plan_tiles
from .host.model import require_m3ddm
from .host.sockets import CATEGORY


class TiledModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        sizes = {"max": MOST_CANVAS, "step": LATENT_SCALE}
        return io.Schema(
            node_id="M3DDM_TiledModel",
            display_name="M3DDM Tiled Model",
            category=CATEGORY,
            description="At every step, shows the network a large canvas in overlapping tiles of the size that it was "
            "trained on. Use it for a second pass only, since a tile does not see the rest of the picture.",
            search_aliases=["tiled diffusion", "multidiffusion", "tiles", "large canvas", "low memory"],
            inputs=[
                io.Model.Input("model", tooltip="From M3DDM Load Checkpoint."),
                io.Int.Input(
                    "tile_size",
                    default=256,
                    min=64,
                    **sizes,
                    tooltip="Side of a tile in canvas pixels. The network was trained at 256. A canvas that is no "
                    "larger than a tile is done in one piece, as without this node.",
                ),
                io.Int.Input(
                    "overlap",
                    default=64,
                    min=0,
                    **sizes,
                    tooltip="Least overlap of neighbouring tiles, in canvas pixels. A larger overlap hides the joins "
                    "better and takes more tiles.",
                ),
            ],
            outputs=[io.Model.Output(tooltip="The same network, for the M3DDM sampler nodes of the second pass.")],
        )

    @classmethod
    def execute(cls, model: Any, tile_size: int, overlap: int) -> io.NodeOutput:
        require_m3ddm(model)
        plan_tiles(tile_size, tile_size, overlap)  # Raises here, not at the sampler.
        model = model.clone()
        kind = comfy.patcher_extension.WrappersMP.APPLY_MODEL
        model.remove_wrappers_with_key(kind, cls.__name__)
        model.add_wrapper_with_key(
            kind, cls.__name__, apply_in_tiles(tile_size // LATENT_SCALE, overlap // LATENT_SCALE)
        )
        return io.NodeOutput(model)


def apply_in_tiles(tile: int, overlap: int) -> Callable[..., torch.Tensor]:
    """Make a wrapper of ComfyUI's `apply_model` that hands the network one tile of latents after the other."""

    def apply(
        apply_model: Callable[..., torch.Tensor],
        x: torch.Tensor,
        t: torch.Tensor,
        c_concat: torch.Tensor,
        *rest: Any,
        **conditions: Any,
    ) -> torch.Tensor:
        def evaluate(place: tuple[slice, slice]) -> torch.Tensor:
            comfy.model_management.throw_exception_if_processing_interrupted()
            here = (..., *place)
            return apply_model(x[here], t, c_concat[here], *rest, **conditions)

        return in_tiles(evaluate, (x.shape[-2], x.shape[-1]), tile, overlap)

    return apply
