"""Results of all formats, a file per format and one table; nothing is read but for resuming."""
