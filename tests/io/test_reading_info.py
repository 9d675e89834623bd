"""`tasks.describe_input`."""

import dataclasses
import json

import pytest

from uhrtranslate.errors import InputError
from uhrtranslate.tasks.info import describe_input


def test_a_slide_is_described_in_plain_values(picture, write_pyramid, srgb):
    path = write_pyramid(picture, icc=srgb)
    described = describe_input(path, properties=True)
    plain = json.loads(json.dumps(dataclasses.asdict(described)))
    assert plain["levels"][1] == {"width": 211, "height": 151, "downsample": 2.0}
    assert plain["mpp"] == pytest.approx([0.25, 0.25])
    assert plain["file_bytes"] == path.stat().st_size
    assert plain["icc_bytes"] == len(srgb)
    assert "sRGB" in plain["icc_name"]
    assert plain["tile"] == [64, 64]
    assert plain["properties"]["openslide.vendor"] == "generic-tiff"
    assert describe_input(path).properties == {}


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        describe_input(tmp_path / "no.svs")
