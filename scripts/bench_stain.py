"""What stain normalization and enhancement cost, and what they keep of the texture.

    python scripts/bench_stain.py --json stain.json

Speed: a slide is worked on through the whole pipeline, and copied through the same reader and
writer, in turns; medians of seconds of CPU per megapixel after the fit, and their ratio (target:
1.3). Texture:
SSIM, PCC and PSNR between grey versions of patches before and after, as the DSTGAN paper measures.
"""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import skimage.data
from bench import medians, parser, save, table, timed, turns
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from stand_ins import stained, write

from uhrtranslate.enhance import Tally, illuminance
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


def work(recipe, slide: Path, target: Path) -> dict[str, float]:
    """Seconds of CPU that a recipe takes for its fit, and for the rest."""
    fits: list[float] = []
    make = type(recipe).mapping

    def mapping(view):
        with timed() as row:
            made = make(recipe, view)
        fits.append(row["cpu_s"])
        return made

    recipe.mapping = mapping
    with timed() as row:
        process_file(recipe, slide, target)
    return {"cpu_s": row["cpu_s"] - fits[-1], "fit_s": fits[-1]}


def main() -> None:
    options = parser(__doc__, side=(6000, "px of the slide that is timed"), repeat=3)
    options.add_argument("--source", type=Path, help="a patch; else one of scikit-image's")
    options.add_argument("--target", type=Path, help="another, for its colours")
    args = options.parse_args()
    section = skimage.data.immunohistochemistry()
    source, target = (
        np.asarray(Image.open(path).convert("RGB")) if path else default
        for path, default in (
            (args.source, section),
            (args.target, (255 - (255 - section.astype(float)) * (0.6, 0.9, 0.7)).astype(np.uint8)),
        )
    )
    figures = texture(source, target)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slide = folder / "slide.tif"
        pixels = stained(args.side, args.side, source)
        write(slide, args.side, lambda x, y, w, h: pixels[y : y + h, x : x + w])
        Image.fromarray(target).save(folder / "target.png")
        recipes = {}
        for method in STAIN_METHODS:
            options = StainOptions(method=method, overwrite=True)
            reference = find_reference(str(folder / "target.png"), [], options)
            recipes[method] = StainNormalizer(options, reference)
            recipes.setdefault("copy", Copier(options, reference))
        recipes["enhance"] = Enhancer(EnhanceOptions(overwrite=True), Tally.of(target))
        ways = {
            label: partial(work, recipe, slide, folder / "out.tif")
            for label, recipe in recipes.items()
        }
        runs = turns(ways, args.repeat)
    megapixels = args.side**2 / 1e6
    rows = {}
    for label, taken in runs.items():
        middle = medians(taken)
        cost = {"fit": middle["fit_s"], "cost": middle["cpu_s"] / megapixels}
        rows[label] = cost | figures.get(label, {})
    for row in rows.values():
        row["x"] = row["cost"] / rows["copy"]["cost"]
    columns = [
        ("fit s", "fit", "7.2f"), ("CPU s/MP", "cost", "9.3f"), ("x copy", "x", "8.2f"),
        ("SSIM", "ssim", "7.3f"), ("PCC", "pcc", "7.3f"), ("PSNR", "psnr", "7.2f"),
    ]  # fmt: skip
    table(rows, 15, columns)
    cost = {label: row["cost"] for label, row in rows.items()}
    seconds = {label: [row["cpu_s"] for row in taken] for label, taken in runs.items()}
    save(args.json, {"cpu_seconds_per_megapixel": cost, "texture": figures, "runs": seconds})


main()
