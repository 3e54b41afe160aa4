"""Worlds seen by a moving camera, whose border is known: for training, evaluation and tests."""
