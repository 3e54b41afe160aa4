"""A video as latents: its state, the plan of its clips, and the levels that make them known."""
