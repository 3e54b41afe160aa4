"""M3DDM video outpainting as a library: network, checkpoints, plan and sampling. Never imports ComfyUI."""
