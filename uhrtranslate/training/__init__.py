"""Training of the generators that the engine runs; no engine, and no formats of images."""
