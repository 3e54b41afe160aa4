"""Clips sampled by many workers: who does what next, what a worker does, and Ray, which starts them."""
