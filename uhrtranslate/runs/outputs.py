"""Where results go."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from uhrtranslate.errors import OptionError, OutputError
from uhrtranslate.io import FOLDER_SUFFIXES, OUTPUT_SUFFIXES, Found


def is_one_output(output: Path) -> bool:
    """Whether a path names a single output, not the folder of several."""
    suffix = output.suffix.lower()
    return suffix in FOLDER_SUFFIXES or (suffix in OUTPUT_SUFFIXES and not os.path.isdir(output))


def plan_outputs(
    found: Sequence[Found], output: Path | None, suffixes: Sequence[str]
) -> list[Path]:
    """One path for each input, all different.

    Args:
        found: inputs; folders below the one that the user named are kept.
        output: a file for one input, else a folder; None puts results next to their inputs.
        suffixes: the end of each result's name, such as `.dn.tif`.

    Raises:
        OptionError: one file for several inputs.
        OutputError: the output folder is a file.
    """
    if output is not None and is_one_output(output):
        if len(found) > 1:
            raise OptionError(
                f"-o {output}: is one file, and there are {len(found)} inputs; name a folder."
            )
        return [output] * len(found)
    if output is not None and os.path.exists(output) and not os.path.isdir(output):
        raise OutputError(
            f"-o {output}: is neither a folder nor one of {', '.join(OUTPUT_SUFFIXES)}."
        )
    folders = [
        item.path.parent if output is None else output / item.path.relative_to(item.root).parent
        for item in found
    ]
    short = [
        folder / f"{item.path.stem}{suffix}"
        for folder, item, suffix in zip(folders, found, suffixes, strict=True)
    ]
    times = Counter(short)
    # a.svs and a.ndpi in one folder: the whole name keeps them apart.
    targets = [
        path if times[path] == 1 else path.with_name(f"{item.path.name}{suffix}")
        for path, item, suffix in zip(short, found, suffixes, strict=True)
    ]
    for target, count in Counter(targets).items():
        if count > 1:
            raise OptionError(
                f"-o {output}: {count} inputs would be written to {target}; "
                "translate their folders one by one."
            )
    return targets
