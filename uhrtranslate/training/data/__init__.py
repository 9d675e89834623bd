"""Patches for training, drawn from images as they are needed; no network, no loss."""
