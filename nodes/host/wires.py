"""Values in the place of a wire, or out of one of any type: refused in a line, the former before anything runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from comfy_api.latest import Input, io
from torch import Tensor

from ...m3ddm_core.canvas.quoted import quoted

Accepts = Callable[[Any], bool]


def _named(*names: str) -> Accepts:
    """Whether a value is of a class of that name: of another copy of the pack it is as good."""
    return lambda value: type(value).__name__ in names


ACCEPTS: dict[str, Accepts] = {
    "IMAGE": lambda value: isinstance(value, Tensor) and value.ndim == 4 and value.is_floating_point(),
    "MASK": lambda value: isinstance(value, Tensor),
    "LATENT": lambda value: isinstance(value, Mapping) and isinstance(value.get("samples"), Tensor),
    "MODEL": lambda value: hasattr(value, "model"),
    "VAE": lambda value: hasattr(value, "encode") and not isinstance(value, str),
    "VIDEO": lambda value: isinstance(value, Input.Video),
    "M3DDM_STATE": _named("OutpaintState"),
    "M3DDM_PLACEMENT": _named("PlacedVideo"),
    "M3DDM_GLOBAL_FRAMES": _named("GlobalFrames"),
    "M3DDM_SAMPLING": _named("SamplingSettings", "CheckpointSettings"),
    "M3DDM_SEEN": _named("Seen"),
    "M3DDM_PLANNED_CLIP": _named("Clip"),
    "M3DDM_FLEET": _named("Where"),
}
"""What may come over a wire, by ComfyUI's name of its type. What is wrong with a value of its type, the core says."""


def with_checked_wires(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """Return a node that refuses what no wire of its types brings, both before a graph runs and when it is executed."""
    wires = {entry.id: entry for entry in node.define_schema().inputs if entry.io_type in ACCEPTS}
    own = "validate_inputs" in vars(node) and node.validate_inputs
    own_names = list(inspect.signature(own).parameters) if own else []

    def validate_inputs(cls: type, **values: Any) -> bool | str:
        # A value that comes over a wire is None here: it is not there yet.
        for name in wires:
            if values.get(name) is not None and (fault := fault_of(wires[name], values[name])):
                return fault
        return own(**{name: values[name] for name in own_names if name in values}) if own else True

    # ComfyUI hands over the values that are named here, and looks at all others itself.
    names = ["cls", *wires, *own_names]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    validate_inputs.__signature__ = inspect.Signature([inspect.Parameter(name, kind, default=None) for name in names])

    def execute(cls: type, *arguments: Any, **named: Any) -> io.NodeOutput:
        given = inspect.signature(node.execute).bind(*arguments, **named).arguments
        given = {**given, **given.pop("kwargs", {})}
        for name, entry in wires.items():
            absent = name not in given or (entry.optional and given[name] is None)
            if not absent and (fault := fault_of(entry, given[name])):
                raise ValueError(fault)
        # For the class that ComfyUI runs, which alone knows the graph and what else is hidden.
        return node.execute.__func__(cls, *arguments, **named)

    parts = {"validate_inputs": classmethod(validate_inputs), "execute": classmethod(execute)}
    return type(node.__name__, (node,), {**parts, "__module__": node.__module__, "__doc__": node.__doc__})


def fault_of(entry: io.Input, value: Any) -> str:
    """What is wrong with the value at an input, or nothing."""
    if ACCEPTS[entry.io_type](value):
        return ""
    shown = f"a tensor of shape {tuple(value.shape)}, {value.dtype}," if isinstance(value, Tensor) else quoted(value)
    return (
        f"got {shown} for the input {entry.id}, expected what a wire of type {entry.io_type} brings; connect an output "
        "of that type"
    )
