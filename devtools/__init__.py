"""Tools behind `run.py`: a ComfyUI host, a real server, the demo, the test tiers, the papers.

Standard library only, but for what lies in `inside`: the host's Python runs that.
"""
