"""Showing images in a browser: what a page is told, tiles and overlays, the server, static pages."""
