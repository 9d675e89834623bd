"""Export a generator for one slide, with the slide's statistics as constants."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import torch

from uhrtranslate.errors import OutputError
from uhrtranslate.geometry.tiles import MIN_STEPS
from uhrtranslate.io import open_slide, open_view, stated_by, thumbnail
from uhrtranslate.models import Generator
from uhrtranslate.models.exported import OPSET, check_name, save_exported
from uhrtranslate.options import TranslateOptions
from uhrtranslate.recipes.generator_pool import GeneratorPool
from uhrtranslate.recipes.translator import Translator
from uhrtranslate.runs.prepared import warnings_of
from uhrtranslate.version import __version__

# Side in px, at least, of the input that a network is traced with; it is tried on a larger one.
SIDE = 64


@dataclass(frozen=True)
class ExportedModel:
    """What was exported; `dataclasses.asdict` makes JSON values of it.

    Attributes:
        path: of the file.
        format: torchscript or onnx.
        opset: of ONNX; None for TorchScript.
        model: the generator's name.
        model_sha256: digest of its weights.
        norm: the normalizer whose statistics are the constants.
        mpp: micrometres per pixel that the network expects; None if unknown.
        input, output: what goes in and what comes out.
        multiple: sides and origins of tiles must be multiples of this, in px.
        context: px of true neighbours that a tile needs on every side.
        beyond: what continues the image where a tile's context reaches beyond its ends.
        deviation: how far the file is from the generator, in grey levels, on a small picture of
            the slide.
        warnings: what may be wrong with it, in sentences, by kind.
    """

    path: str
    format: str
    opset: int | None
    model: str
    model_sha256: str
    norm: str
    mpp: tuple[float, float] | None
    input: str
    output: str
    multiple: int
    context: int
    beyond: str = "mirrored (numpy's reflect)"
    deviation: float | None = None
    warnings: dict[str, str] = field(default_factory=dict)


def export_model(
    slide: str | Path,
    target: Path,
    options: TranslateOptions,
    generator: Generator | None = None,
) -> ExportedModel:
    """Write a generator as TorchScript or ONNX whose norm layers have one slide's statistics.

    The network turns tiles of that slide into what `uhrt translate` gives for it, to one grey
    level, if every tile is computed with `context` px of its neighbours, which are then cut off,
    and the image is mirrored beyond its ends.

    Args:
        slide: the slide or photo.
        target: name.pt or name.onnx.
        options: model, norm and the geometry; level, mpp and region as for a translation.
        generator: a loaded one, used instead of the option `model`.

    Raises:
        OptionError: the normalizer's statistics are no constants, or the ending is unknown.
        CheckpointError: the generator cannot be loaded or exported.
        InputError: the slide cannot be read.
        OutputError: the target exists or cannot be written.
        MissingExtraError: for ONNX, the packages of the extra `export` are missing.
    """
    check_name(target)
    if target.exists() and not options.overwrite:
        raise OutputError(f"{target}: exists already; choose another name, or use --overwrite")
    translator = Translator(options, GeneratorPool(options, generator))
    # Channels are read, too, for a word on the generator that takes them.
    how = {"sparse": options.allow_sparse, "channels": translator.takes_channels}
    with open_slide(slide, stated=stated_by(options), **how) as opened:
        view = open_view(opened, options.level, options.mpp, options.region)
        network = translator.freeze(view)
        info = translator.generator.info
        onnx = target.suffix == ".onnx"
        about = ExportedModel(
            path=str(target),
            format="onnx" if onnx else "torchscript",
            opset=OPSET if onnx else None,
            model=translator.generator.name,
            model_sha256=translator.generator.digest,
            norm=options.norm,
            mpp=view.mpp,
            input="float32 [n, 3, h, w], RGB, 0..1 (8-bit values divided by 255)",
            output="float32 [n, 3, h, w], RGB, 0..1",
            multiple=info.stride,
            context=translator.halo,
            warnings=translator.warnings(view) | warnings_of(view),
        )
        step = info.stride
        side = max(-(-SIDE // step), MIN_STEPS) * step
        example = torch.zeros(1, 3, side, side + step)
        picture = thumbnail(view, side + 2 * step, side + step)
    trial = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    facts = dataclasses.asdict(about) | {"software": f"uhrtranslate {__version__}"}
    # Names of files may be those of patients, and do not go into what others get.
    del facts["path"], facts["deviation"], facts["warnings"]
    deviation = save_exported(target, network, example, trial, _note(about), facts)
    return dataclasses.replace(about, deviation=round(deviation, 4))


def _note(about: ExportedModel) -> str:
    """What a person who finds the file needs to know."""
    at = "" if about.mpp is None else f" at {about.mpp[0]:.4g} um/px"
    return (
        f"{about.model} by uhrtranslate {__version__}, for one slide{at}: its norm layers have "
        f"the statistics of that slide ({about.norm}) as constants, so other slides need an "
        f"export of their own.\n"
        f"Input: {about.input}.\nOutput: {about.output}.\n"
        f"Sides and origins of tiles: multiples of {about.multiple} px.\n"
        f"To avoid seams, give every tile {about.context} px of its true neighbours on each side "
        f"(beyond the ends of the image {about.beyond}), and cut them off the result.\n"
    )
