"""Files as such: whole or not at all, locked, resumed, fingerprinted; nothing of images."""
