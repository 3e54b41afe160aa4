"""What SIGKILL at random moments costs a run, on the command line and in ComfyUI."""
