"""Video outpainting with M3DDM: `outpaint_file`, `outpaint_frames`, and what they need.

    from m3ddm_core import Options, load_models, load_network, load_vae, outpaint_file

    models = load_models(load_network("m3ddm.safetensors"), load_vae("vae.safetensors"))
    outpaint_file("clip.mp4", "wide.mp4", models)

The names are loaded when they are first used: importing the package alone takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .canvas.framing import Framing
    from .models import Models, load_models, load_network
    from .pipeline import Guides, Options, outpaint_file, outpaint_frames
    from .sampling.guidance import Guidance
    from .sampling.settings import SamplingSettings
    from .vae import load_vae

__all__ = [
    "Framing",
    "Guidance",
    "Guides",
    "Models",
    "Options",
    "SamplingSettings",
    "load_models",
    "load_network",
    "load_vae",
    "outpaint_file",
    "outpaint_frames",
]

_ELSEWHERE = {
    "Framing": "canvas.framing",
    "Guidance": "sampling.guidance",
    "SamplingSettings": "sampling.settings",
    "Models": "models",
    "load_models": "models",
    "load_network": "models",
    "load_vae": "vae",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_ELSEWHERE.get(name, 'pipeline')}", __name__), name)
