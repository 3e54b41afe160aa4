"""What the nodes share: sockets, inputs and outputs, the model and its guider, memory, progress, VAE and video."""
