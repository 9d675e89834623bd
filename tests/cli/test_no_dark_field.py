"""What is no dark field, and a background whose noise grows, is told with a remedy."""

import skimage.data
from enhance.test_doubts import DARK, PHASE
from PIL import Image


def test_people_are_told(uhrt_here, tmp_path):
    for name, pixels in (("dark", DARK), ("bright", 255 - DARK), ("phase", PHASE)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    section = skimage.data.immunohistochemistry()
    Image.fromarray(section[100:300, :200]).save(tmp_path / "ref.png")

    def enhance(name, *arguments):
        done = uhrt_here(
            "enhance", tmp_path / f"{name}.png", "--reference", tmp_path / "ref.png",
            "-o", tmp_path / "out.png", "--overwrite", *arguments,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [line for line in done.stderr.splitlines() if "warning" in line]

    (noise,) = enhance("dark")
    assert "noise of its background grows" in noise
    assert "--gain 1" in noise
    assert enhance("dark", "--gain", 1) == []
    for name in ("bright", "phase"):
        (told,) = enhance(name)
        assert "is no dark-field image" in told
        assert "--no-invert" in told
        assert "--synthesize" in told
        assert enhance(name, "--no-invert") == []
