"""For a ComfyUI that is measured, as a custom node: tells what tensors it holds, and gives free memory back first.

A server's memory is what it holds and what the C library keeps free for it: only the first may not grow.
"""

import asyncio
import ctypes
import gc
import sys

import torch
from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS = {}


@PromptServer.instance.routes.get("/m3ddm_soak/held")
async def held(request: web.Request) -> web.Response:
    """Tensors, and the bytes of their storages, after everything that nobody holds is given back."""
    return web.json_response(await asyncio.get_running_loop().run_in_executor(None, _held))


def _held() -> dict[str, int]:
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    tensors = [thing for thing in gc.get_objects() if type(thing) in (torch.Tensor, torch.nn.Parameter)]
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return {"tensors": len(tensors), "tensor_bytes": sum(storages.values()), "objects": len(gc.get_objects())}
