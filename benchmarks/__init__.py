"""Speed, seams, second pass and long videos, measured; README.md holds the figures."""
