"""Tables of what norm layers saw, and the fields made of them; no generator, no pixel."""
