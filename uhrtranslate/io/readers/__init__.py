"""Slides of all formats, a file per format behind `Slide`; nothing is written here."""
