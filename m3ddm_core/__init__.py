"""M3DDM video outpainting as a library: the network, its checkpoints, its plan and its sampling. Never imports ComfyUI."""
