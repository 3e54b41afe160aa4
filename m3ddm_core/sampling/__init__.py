"""One clip: the noise schedule, guidance, and the solvers that take it from noise to latents."""
