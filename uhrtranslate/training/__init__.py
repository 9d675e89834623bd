"""Training of the generators that the engine runs: methods, data, and the loop."""
