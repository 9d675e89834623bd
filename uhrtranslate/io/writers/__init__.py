"""Writing slides and photos: each format is one file here and one line in `tables`."""
