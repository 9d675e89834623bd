"""Groups of figures, a file each: titles, needs, computation; no files, no page."""
