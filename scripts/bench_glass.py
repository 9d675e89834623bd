#!/usr/bin/env python3
"""Does bare glass stay white? The bundled generators over real images, by normalizer.

    python scripts/bench_glass.py --data images --json glass.json --pictures glass/

Glass: pixels of the input that are brighter than 223 of 255 in every channel and more than 4 px
from any that is not. Off white: such pixels that the result has further than 12 grey levels from
255 in any channel; dark: further than 64. `darkest`: the least value of a channel on glass.
Each image goes to the generator that is for its stain; with --all, to the other one as well, and
so do those pictures of other kinds that have such pixels: dark field, photos, paintings, pages.
"""

import tempfile
from pathlib import Path

import numpy as np
import skimage.data
from bench import Row, parser, save, table
from PIL import Image
from scipy import ndimage

from uhrtranslate import translate
from uhrtranslate.io import open_slide

BRIGHT, NEAR, OFF, DARK = 223, 4, 12, 64
# Below --data, or of scikit-image.
PACKAGE = Path(skimage.data.__file__).parent
IMAGES = {
    "he2ihc": [
        "aperio-svs/*.svs", "he-patches/*", "registration/*H[eE].jpg", "serial-sections/*_2_*.png",
        "serial-sections/*_3_*.png",
    ],
    "ihc2he": [
        "ihc.png", "scanner-pair-ki67/*", "registration/*CD31*.jpg", "registration/*Ki67*.jpg",
        "registration/*proSPC.jpg", "serial-sections/*_1_*.png",
    ],
    "neither": [
        "dicom-wsi/*", "darkfield/*", "hamamatsu-ndpi/*", "paintings/*", "[!i]*.png", "*.jpg",
    ],
}  # fmt: skip


def images(data: Path, kind: str) -> list[Path]:
    """The images that a generator is for, or neither."""
    found = []
    for pattern in IMAGES[kind]:
        found += sorted((data if "/" in pattern else PACKAGE).glob(pattern))
    return found


def glass_of(pixels: np.ndarray) -> np.ndarray:
    """Where [h, w, 3] uint8 is bare glass, [h, w] bool."""
    bright = (pixels > BRIGHT).all(axis=2)
    return bright if bright.all() else ndimage.distance_transform_edt(bright) > NEAR


def measure(source: np.ndarray, result: np.ndarray) -> Row:
    """How white a result is where its source is glass."""
    worst = result.min(axis=2)[glass_of(source)]
    return {
        "glass_px": len(worst),
        "off_white_percent": 100 * float((worst < 255 - OFF).mean()) if len(worst) else 0.0,
        "dark_percent": 100 * float((worst < 255 - DARK).mean()) if len(worst) else 0.0,
        "darkest": int(worst.min(initial=255)),
    }


def pixels_of(path: Path) -> np.ndarray:
    """All pixels of a small image, [h, w, 3] uint8."""
    with open_slide(path) as slide:
        return slide.read(0, 0, slide.info.width, slide.info.height)


def main() -> None:
    given = parser(__doc__)
    given.add_argument("--data", type=Path, required=True, help="folder of the images")
    given.add_argument("--norm", nargs="+", default=["dn"], help="normalizers")
    given.add_argument(
        "--glass", default="auto", help="translate: what generators paint themselves"
    )
    given.add_argument("--weights", type=Path, help="folder of other weights than those that ship")
    given.add_argument("--only", choices=list(IMAGES)[:2], help="one generator; default: both")
    given.add_argument("--all", action="store_true", help="also other images")
    given.add_argument("--pictures", type=Path, help="folder for sources and results side by side")
    chosen = given.parse_args()
    if chosen.pictures:
        chosen.pictures.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Row] = {}
    for name in [chosen.only] if chosen.only else list(IMAGES)[:2]:
        model = chosen.weights / f"{name}.safetensors" if chosen.weights else name
        for stain in IMAGES if chosen.all else [name]:
            for path in images(chosen.data, stain):
                source = pixels_of(path)
                if stain == "neither" and not glass_of(source).any():
                    continue  # nothing to measure
                results = [translated(path, str(model), norm, chosen.glass) for norm in chosen.norm]
                for norm, result in zip(chosen.norm, results, strict=True):
                    rows[f"{name} {norm} {path.name}"] = measure(source, result)
                if chosen.pictures:
                    sheet = np.hstack([source, *results])
                    Image.fromarray(sheet).save(chosen.pictures / f"{name}-{path.stem}.png")
    table(
        rows,
        56,
        [
            ("glass px", "glass_px", "10d"), ("off white %", "off_white_percent", "13.4f"),
            ("dark %", "dark_percent", "9.4f"), ("darkest", "darkest", "9d"),
        ],
    )  # fmt: skip
    save(chosen.json, rows)


def translated(path: Path, model: str, norm: str, glass: str) -> np.ndarray:
    """An image's translation, [h, w, 3] uint8."""
    with tempfile.TemporaryDirectory() as folder:
        translate(path, Path(folder, "out.png"), model=model, norm=norm, glass=glass)
        return pixels_of(Path(folder, "out.png"))


if __name__ == "__main__":
    main()
