"""What other frames show of the border: the camera's motion, the pixels it has filmed, and how far to believe them."""
