"""What stain normalization and enhancement cost, and what they keep of the texture.

    python scripts/bench_stain.py --json stain.json

Speed: a slide is worked on through the whole pipeline, and copied through the same reader and
writer, in turns; medians of seconds of CPU per megapixel after the fit, and their ratio (target:
1.3). Texture:
SSIM, PCC and PSNR between grey versions of patches before and after, as the DSTGAN paper measures.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from uhrtranslate.enhance import Tally, illuminance
from uhrtranslate.io import OutputSpec, open_writer
from uhrtranslate.options import EnhanceOptions, StainOptions
from uhrtranslate.recipes.enhancer import Enhancer
from uhrtranslate.recipes.stain_normalizer import StainNormalizer
from uhrtranslate.recipes.stain_reference import find_reference
from uhrtranslate.runs.one_image import process_file
from uhrtranslate.stain import colour_map
from uhrtranslate.tables import STAIN_METHODS


class Copier(StainNormalizer):
    """The same pipeline, and nothing done in it."""

    def mapping(self, view):
        """See `ColourRecipe`."""
        return lambda pixels: pixels


def texture(source: np.ndarray, target: np.ndarray) -> dict[str, dict[str, float]]:
    """Figures of each method, from one patch to the colours of another."""
    found = {}
    before = illuminance(source).astype(float)
    for name, kind in STAIN_METHODS.items():
        method = kind()
        fits = [method.fit(image.reshape(-1, 3)) for image in (source, target)]
        mapped = colour_map(method, *fits)(source.reshape(-1, 3)).reshape(source.shape)
        after = illuminance(mapped).astype(float)
        found[name] = {
            "ssim": float(
                structural_similarity(
                    before, after, data_range=255, gaussian_weights=True, sigma=1.5,
                    use_sample_covariance=False,
                )
            ),
            "pcc": float(np.corrcoef(before.ravel(), after.ravel())[0, 1]),
            "psnr": float(peak_signal_noise_ratio(before, after, data_range=255)),
        }  # fmt: skip
    return found


def timed_fit(recipe) -> list[float]:
    """Let a recipe tell how long its next fit takes."""
    taken: list[float] = []
    make = type(recipe).mapping

    def mapping(view):
        began = time.process_time()
        made = make(recipe, view)
        taken.append(time.process_time() - began)
        return made

    recipe.mapping = mapping
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, help="a patch; else one of scikit-image's")
    parser.add_argument("--target", type=Path, help="another, for its colours")
    parser.add_argument("--side", type=int, default=6000, help="px of the slide that is timed")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    section = skimage.data.immunohistochemistry()
    source, target = (
        np.asarray(Image.open(path).convert("RGB")) if path else default
        for path, default in (
            (args.source, section),
            (args.target, (255 - (255 - section.astype(float)) * (0.6, 0.9, 0.7)).astype(np.uint8)),
        )
    )
    figures = texture(source, target)
    seconds: dict[str, list[float]] = {}
    fits: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = -(-args.side // min(source.shape[:2]))
        pixels = np.tile(source, (count, count, 1))[: args.side, : args.side]
        slide = folder / "slide.tif"
        with open_writer(slide, OutputSpec(args.side, args.side)) as writer:
            writer.write(0, 0, pixels)
        Image.fromarray(target).save(folder / "target.png")
        recipes = {}
        for method in STAIN_METHODS:
            options = StainOptions(method=method, overwrite=True)
            reference = find_reference(str(folder / "target.png"), [], options)
            recipes[method] = StainNormalizer(options, reference)
            recipes.setdefault("copy", Copier(options, reference))
        recipes["enhance"] = Enhancer(EnhanceOptions(overwrite=True), Tally.of(target))
        for _ in range(args.repeat):
            for label, recipe in recipes.items():
                fitting = timed_fit(recipe)
                began = time.process_time()
                process_file(recipe, slide, folder / "out.tif")
                seconds.setdefault(label, []).append(time.process_time() - began - fitting[-1])
                fits.setdefault(label, []).append(fitting[-1])
    megapixels = args.side**2 / 1e6
    cost = {label: statistics.median(times) / megapixels for label, times in seconds.items()}
    print(f"{'':15}{'fit s':>7}{'CPU s/MP':>9}{'x copy':>8}{'SSIM':>7}{'PCC':>7}{'PSNR':>7}")
    for label, value in cost.items():
        fit = statistics.median(fits[label])
        line = f"{label:15}{fit:7.2f}{value:9.3f}{value / cost['copy']:8.2f}"
        if label in figures:
            row = figures[label]
            line += f"{row['ssim']:7.3f}{row['pcc']:7.3f}{row['psnr']:7.2f}"
        print(line)
    if args.json:
        report = {"cpu_seconds_per_megapixel": cost, "texture": figures, "runs": seconds}
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
