"""Working through images: inputs, outputs, records, failures; not what is done to a pixel."""
