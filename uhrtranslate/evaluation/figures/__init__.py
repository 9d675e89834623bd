"""Groups of figures, a file each: what they are called, what they need, how they are computed."""
