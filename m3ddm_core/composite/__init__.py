"""The finished frames: the source put back over what was generated, without a seam."""
