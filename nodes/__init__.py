"""The adapter between ComfyUI and the core: the nodes, and the only files that import ComfyUI."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .clip import ClipConditioning, ClipResult
from .composite import Composite
from .crop_video import CropVideo
from .demo_clip import DemoClip
from .edge_mask import EdgeMask
from .encode_context import EncodeContext
from .encode_global_frames import EncodeGlobalFrames
from .fleet import Fleet
from .forget_frames import ForgetFrames
from .guide_frames import GuideFrames
from .host.wires import with_checked_wires
from .load_checkpoint import LoadCheckpoint
from .load_vae import LoadVAE
from .move_frames import MoveFrames
from .outpaint_video import OutpaintVideo
from .sample import SampleInfill, SampleInterpolation, SampleKeyframes
from .sampling_settings import SamplingSettings
from .save_video import SaveVideo
from .scene_board import SceneBoard
from .second_pass import SecondPass
from .seen_pixels import SeenPixels
from .tiled_model import TiledModel
from .video_folder import VideoFolder
from .video_frames import VideoFrames


class M3DDMExtension(ComfyExtension):
    """Hands ComfyUI the nodes in the order in which a graph is built."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        nodes = [
            LoadCheckpoint,
            LoadVAE,
            DemoClip,
            VideoFrames,
            MoveFrames,
            EdgeMask,
            SeenPixels,
            EncodeGlobalFrames,
            EncodeContext,
            GuideFrames,
            SamplingSettings,
            SampleKeyframes,
            SampleInterpolation,
            SampleInfill,
            ForgetFrames,
            Composite,
            SecondPass,
            TiledModel,
            ClipConditioning,
            ClipResult,
            OutpaintVideo,
            SceneBoard,
            VideoFolder,
            Fleet,
            CropVideo,
            SaveVideo,
        ]
        return [with_checked_wires(node) for node in nodes]


async def comfy_entrypoint() -> M3DDMExtension:
    return M3DDMExtension()
