"""Finished clips on disk, so that a run that was killed goes on where it was."""
