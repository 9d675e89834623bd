"""One pass over an image in bounded memory, whatever the transform; knows no generators."""
