"""How good a result is, from its file to a page; the figures themselves are in `metrics`."""
