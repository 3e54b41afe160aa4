"""What the nodes' schemas say, as JSON, in the order in which the pack hands the nodes to ComfyUI.

Run by the host's Python: ``python schemas.py COMFYUI PACK``. The last line that it prints is the JSON.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

NAME = "m3ddm_pack_for_papers"


def load(pack: Path) -> ModuleType:
    """The pack, by file location, as ComfyUI loads it."""
    spec = importlib.util.spec_from_file_location(NAME, pack / "__init__.py", submodule_search_locations=[str(pack)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    return module


async def schemas(pack: ModuleType) -> list[Any]:
    """The schema of every node."""
    extension = await pack.comfy_entrypoint()
    return [node.GET_SCHEMA() for node in await extension.get_node_list()]


def described(schema: Any) -> dict[str, Any]:
    """One schema in plain values; ``default`` is there for inputs that have one."""
    inputs = []
    for entry in schema.inputs:
        default = getattr(entry, "default", None)
        text = {"name": entry.id, "type": entry.get_io_type(), "optional": entry.optional, "tooltip": entry.tooltip}
        inputs.append(text if default is None else text | {"default": default})
    outputs = [
        {"name": entry.display_name or entry.get_io_type(), "type": entry.get_io_type(), "tooltip": entry.tooltip}
        for entry in schema.outputs
    ]
    return {
        "id": schema.node_id,
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": inputs,
        "outputs": outputs,
    }


def main(comfyui: str, pack: str) -> None:
    # ComfyUI's own modules first: the pack's root must not be on the path, where its `nodes` would hide ComfyUI's.
    sys.path[:] = [comfyui, *(entry for entry in sys.path if entry and Path(entry).resolve() != Path(pack).resolve())]
    import comfy.cli_args

    comfy.cli_args.args.cpu = True  # no device is needed to read texts
    print(json.dumps([described(schema) for schema in asyncio.run(schemas(load(Path(pack))))]))


if __name__ == "__main__":
    main(*sys.argv[1:3])
