"""`uhrt translate`."""

import sys
from typing import Any

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.report import Report, errors_as_sentences
from uhrtranslate.errors import OptionError
from uhrtranslate.options import make_options, read_config

EXAMPLES = """[bold]Examples[/bold]

uhrt translate slide.svs --norm dn

uhrt translate slides/ -o out/ --model latest_net_G.pth --cell 512

uhrt translate photo.jpg -o photo.png --model latest_net_G.pth

find slides -name '*.svs' | uhrt translate - -o out/ --json
"""


def translate(
    inputs: p.Inputs,
    output: p.Output = None,
    config: p.Config = None,
    model: p.Model = None,
    norm: p.NormOption = None,
    kernel: p.Kernel = None,
    kernel_type: p.KernelTypeOption = None,
    thumbnail: p.ThumbnailOption = None,
    cell: p.Cell = None,
    tile: p.TileOption = None,
    halo: p.Halo = None,
    pad: p.PadOption = None,
    level: p.Level = None,
    mpp: p.Mpp = None,
    region: p.RegionOption = None,
    batch: p.Batch = None,
    device: p.Device = None,
    precision: p.PrecisionOption = None,
    compression: p.CompressionOption = None,
    quality: p.Quality = None,
    preview: p.Preview = None,
    overwrite: p.Overwrite = None,
    workers: p.Workers = None,
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Translate slides and photos through a generator, without seams.

    Writes pyramidal tiled TIFF (slide.svs -> slide.dn.tif), or PNG, JPEG, WebP for photos.
    Results go to stdout, progress and errors to stderr. Exit code 0: all done; 1: some inputs
    failed, the others are done; 2: wrong usage.
    """
    flags: dict[str, Any] = {
        "model": model,
        "norm": norm,
        "kernel": kernel,
        "kernel_type": kernel_type,
        "thumbnail": thumbnail,
        "cell": cell,
        "tile": tile,
        "halo": halo,
        "pad": pad,
        "level": level,
        "mpp": mpp,
        "region": region,
        "batch": batch,
        "device": device,
        "precision": precision,
        "compression": compression,
        "quality": quality,
        "preview": preview,
        "overwrite": overwrite,
        "workers": workers,
    }
    with errors_as_sentences(debug):
        given = {name: value for name, value in flags.items() if value is not None}
        options = make_options((read_config(config) if config else {}) | given)

        from uhrtranslate.io import expand_inputs

        found = expand_inputs(inputs, sys.stdin)
        if not found:
            raise OptionError("no inputs: the list on stdin is empty.")

        from uhrtranslate.tasks.translate import translate_many

        with Report(as_json, quiet, len(found)) as report:
            translate_many(found, output, options, report.event)
    if report.failed:
        raise typer.Exit(1)
