"""Showing images in a browser: tiles, overlays, places, the server, static pages."""
