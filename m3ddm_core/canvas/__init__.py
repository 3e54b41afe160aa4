"""Pixels on the canvas: where source, target and canvas lie, and what fills the rest."""
