"""One pass over an image in bounded memory, whatever is done to it; nothing of generators."""
