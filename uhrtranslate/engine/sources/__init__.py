"""Slides that are computed from other slides while they are read; no files are written."""
