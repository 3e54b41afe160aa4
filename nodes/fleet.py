"""Where clips are sampled, if not here."""

from __future__ import annotations

from comfy_api.latest import io

from ..m3ddm_core.fleet.on_ray import Where
from .host.sockets import CATEGORY, FleetSocket


class Fleet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_Fleet",
            display_name="M3DDM Fleet",
            category=CATEGORY,
            description="Lets the sampler nodes and M3DDM Outpaint Video sample on the workers of a Ray: on all GPUs "
            "of this machine, or on many machines. Needs the package ray.",
            search_aliases=["ray", "cluster", "multi gpu", "distributed", "many machines", "m3ddm"],
            inputs=[
                io.String.Input(
                    "address",
                    default="local",
                    tooltip="local starts a Ray on this machine for each run; auto takes the one that this machine is "
                    "part of; host:port takes that one.",
                ),
                io.Int.Input(
                    "workers", default=0, min=0, max=10_000, tooltip="How many. 0: as many as there is room for."
                ),
                io.Float.Input(
                    "gpus",
                    default=1.0,
                    min=0.05,
                    max=1.0,
                    step=0.05,
                    tooltip="The share of a GPU that each worker takes: 0.5 puts two on one. Without GPUs each takes a "
                    "core.",
                ),
            ],
            outputs=[
                FleetSocket.Output(
                    display_name="fleet", tooltip="Goes to M3DDM Outpaint Video and to the three sampler nodes."
                )
            ],
        )

    @classmethod
    def execute(cls, address: str, workers: int, gpus: float) -> io.NodeOutput:
        return io.NodeOutput(Where(address.strip(), workers, gpus))
