"""What can be done to a streamed image, each a `Transform`; no loop over the image, no options."""
