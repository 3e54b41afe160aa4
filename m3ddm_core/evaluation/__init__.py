"""The paper's measurements over a folder of videos: ``python -m m3ddm_core evaluate``.

Needs the ``evaluate`` extra. Frames are NumPy arrays (n, h, w, 3), uint8, throughout: pictures as they would be saved.
"""
