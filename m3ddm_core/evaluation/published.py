"""The paper's own figures, and what it takes to measure them again."""

from __future__ import annotations

from .i3d import WHERE_TO_GET as I3D_FILE
from .perceptual import WHERE_TO_GET as BACKBONE_FILE

PUBLISHED = {
    "M3DDM on DAVIS, published": {"psnr": 20.26, "ssim": 0.708, "lpips": 0.203, "fvd": 300.0},
    "M3DDM on YouTube-VOS, published": {"psnr": 20.20, "ssim": 0.731, "lpips": 0.185, "fvd": 66.6},
}
"""arXiv 2309.02119, Table 1."""

TO_REPEAT = (
    "Frames: DAVIS 2017, TrainVal at 480p (davischallenge.org): give its folder JPEGImages/480p; or YouTube-VOS 2019, "
    "valid (youtube-vos.org): give its folder JPEGImages.",
    "Weights: diffusion_pytorch_model.bin of alimama-creative/M3DDM-Video-Outpainting on Hugging Face (--checkpoint), "
    "and vae-ft-mse-840000-ema-pruned.safetensors of stabilityai/sd-vae-ft-mse-original, or a whole Stable Diffusion "
    "1.5 checkpoint (--vae).",
    f"LPIPS: {BACKBONE_FILE} (--lpips-backbone); without it torchvision downloads AlexNet's.",
    f"FVD: {I3D_FILE} (--i3d).",
)

ELSEWHERE = "The published figures are set beside these where the protocol is theirs: `--protocol published`."

CAVEAT = (
    "The code that measured the published figures was not released: how it made frames square (--fit) and which frames "
    "it used may differ from this. FVD depends on the number of windows: compare it between methods of one run, not "
    "across papers; of few clips the I3D distance, each to its own truth, says more."
)
