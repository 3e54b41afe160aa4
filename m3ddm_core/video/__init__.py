"""From file to file: a video read as it is needed, cut into scenes, outpainted, and finished while it is written.

Only latents are ever held for all frames. ``source`` reads frames and sound from files or tensors, ``cuts`` finds the
scenes, ``scenes`` outpaints them, ``finished`` composites, ``refine`` outpaints what is finished once more, ``writer``
encodes. PyAV, which ComfyUI brings, is needed for files.
"""
