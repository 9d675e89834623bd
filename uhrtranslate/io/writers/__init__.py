"""Writing slides and photos, one file per format; nothing is read but for resuming."""
