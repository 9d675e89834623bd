"""Writing slides and photos: one file per format, each a line in `tables`."""
