"""Finished clips, and what was seen around, on disk, so that a run that was killed goes on where it was."""
