"""Forwards of a generator: norm layers, devices, precisions, memory; no images, no files."""
