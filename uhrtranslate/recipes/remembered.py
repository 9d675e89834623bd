"""The halo that was measured of a generator, kept in the user's cache.

Measuring it takes as long as a forward and a backward of 256 px: two seconds of CPU time for a
generator of nine blocks, which a command over a small image would spend each time.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

import torch

from uhrtranslate import engine, models
from uhrtranslate.engine import LARGEST_RADIUS, cache_folder
from uhrtranslate.models import Generator
from uhrtranslate.replace import replace_file

# Code that the halo depends on: of generators, and of how it is measured.
_SOURCES = (Path(models.__file__).parent, Path(engine.__file__).parent / "forward")
# CPU seconds from which on it is worth a file.
WORTH_KEEPING = 0.5
_log = logging.getLogger(__name__)


def remembered_halo(
    generator: Generator, device: torch.device, how: object, measure: Callable[[], int]
) -> int:
    """The halo of a generator, as an earlier process of this user measured it, or measured now.

    Args:
        generator: as it was loaded, with the digest of its file.
        device: where it runs.
        how: whatever else its forwards depend on.
        measure: measures it.

    Returns:
        Px, a multiple of the generator's stride.
    """
    if generator.info.is_foreign:  # whose code may change under the same weights
        return measure()
    facts = generator.digest, generator.info, device.type, torch.__version__, how
    path = cache_folder() / f"halo-{_key(facts)}.txt"
    try:
        kept = path.read_text(encoding="ascii")
    except (OSError, ValueError):
        kept = ""
    if kept.isdigit() and len(kept) < 6:
        halo = int(kept)
        if halo <= LARGEST_RADIUS and halo % generator.info.stride == 0:
            return halo
    began = time.process_time()
    halo = measure()
    if time.process_time() - began < WORTH_KEEPING:
        return halo
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, str(halo))
    except OSError as error:  # a home that cannot be written
        _log.debug("%s: %s", path, error)
    return halo


def _key(facts: object) -> str:
    digest = hashlib.sha256(repr(facts).encode())
    for folder in _SOURCES:
        for source in sorted(folder.glob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:20]
