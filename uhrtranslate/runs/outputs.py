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


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Names of images without folders, all different even if case is ignored.

    Usually the file's name without its ending. Slides that would share it are told apart by their
    folder (`left_s1`), else by their ending (`s1.png`), else by both, with as many folders as it
    takes (`left_s1.png`). If even those are equal, they are numbered: `left_s1.png_2`.

    Args:
        paths: of the images, absolute; the names depend on nothing else.
    """
    parts = [
        (
            path.stem,
            f"{path.parent.name}_{path.stem}",
            *("_".join(path.parts[-n:]) for n in range(1, len(path.parts))),
        )
        for path in paths
    ]
    names = [choices[0] for choices in parts]
    for length in range(1, max((len(choices) for choices in parts), default=0)):
        times = Counter(name.casefold() for name in names)
        names = [
            choices[min(length, len(choices) - 1)] if times[name.casefold()] > 1 else name
            for name, choices in zip(names, parts, strict=True)
        ]
    taken: set[str] = set()
    for index, name in enumerate(names):
        number = 1
        while names[index].casefold() in taken:
            number += 1
            names[index] = f"{name}_{number}"
        taken.add(names[index].casefold())
    return names
