"""Forwards of a generator: norm layers, devices, precisions, memory; no image and no file."""
