"""Tools behind `run.py`: a ComfyUI host, a real server, the demo, the test tiers. Standard library only."""
