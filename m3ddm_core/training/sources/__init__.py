"""Where training clips come from: films, photographs, panoramas and painted scenes; drawn by number, rendered late.

A source draws on the CPU what is to be seen (which shot, which way the camera goes); the pixels are made on the
training device.
"""
