"""Reading slides of all formats, one file per library, each a `Slide`; nothing is written."""
