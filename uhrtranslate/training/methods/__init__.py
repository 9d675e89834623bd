"""How generators learn: one file per method, with its options; no loop, no files."""
