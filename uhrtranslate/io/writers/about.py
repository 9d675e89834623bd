"""What a writer says of an image for those who look on while it is made."""

import json
from pathlib import Path

from uhrtranslate.io.readers.unfinished import ABOUT
from uhrtranslate.io.writers.output_spec import OutputSpec


def write_about(folder: Path, spec: OutputSpec, layout: str) -> None:
    """Say how what is in the folder of an unfinished run is to be read.

    Args:
        folder: of the run.
        spec: of the image.
        layout: how the bytes of its tiles follow each other; see `io.readers.unfinished_tiles`.
    """
    facts = {
        "width": spec.width,
        "height": spec.height,
        "mpp": spec.mpp,
        "tile": spec.tile,
        "smallest": spec.smallest,
        "bits": spec.bits,
        "compression": spec.compression,
        "layout": layout,
        "channels": [(channel.name, channel.colour) for channel in spec.channels],
        "description": spec.description,
    }
    (folder / ABOUT).write_text(json.dumps(facts))
