"""Reading slides of all formats: one file per library or format, each a `Slide`."""
