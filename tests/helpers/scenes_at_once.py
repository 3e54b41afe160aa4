"""Scenes that are outpainted when they come, by a function from state to state."""

from __future__ import annotations


def at_once(outpaint):
    """Make of ``outpaint(number, state)``, which returns a state, what `outpaint_scenes` calls."""
    return lambda number, state, then: then(outpaint(number, state).latents)
