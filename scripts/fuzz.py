"""Hunt for files that crash, hang or mislead the readers; longer than the tests do.

    python scripts/fuzz.py --minutes 10 --first 1000 --keep /tmp/failures

Prints what became of the damaged files; those that failed are kept. A name and a number say which
damage it was, on every machine.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fuzzing.hunt import Account, hunt
from fuzzing.seeds import write_checkpoints, write_images

WRITERS = {"image": write_images, "checkpoint": write_checkpoints}
# Damages done to each file before the next report.
ROUND = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--first", type=int, default=1000, help="number of the first damage")
    parser.add_argument("--kind", choices=list(WRITERS), help="only images, or only checkpoints")
    parser.add_argument("--keep", type=Path, help="folder for files that failed")
    args = parser.parse_args()
    kinds = [args.kind] if args.kind else list(WRITERS)
    end, case = time.monotonic() + 60 * args.minutes, args.first
    totals = {kind: Account() for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            (Path(folder) / kind).mkdir()
            WRITERS[kind](Path(folder) / kind)
        while time.monotonic() < end:
            for kind in kinds:
                files = sorted((Path(folder) / kind).iterdir())
                found = hunt(kind, files, Path(folder), range(case, case + ROUND), args.keep)
                totals[kind] += found
                for name, number, detail in found.failures:
                    print(f"{kind} {name}, damage {number}:\n{detail}", flush=True)
                for name, number in found.contained:
                    print(f"{kind} {name}, damage {number}: OpenSlide crashed", flush=True)
            case += ROUND
    for kind, total in totals.items():
        number = max(sum(total.outcomes.values()), 1)
        shares = ", ".join(f"{name} {n / number:.1%}" for name, n in total.outcomes.items())
        print(f"{number:,} damaged {kind}s, damages {args.first} to {case - 1}: {shares}; ", end="")
        print(f"slowest {total.slowest:.2f} s, most memory {total.largest / 1e6:.0f} MB")
    raise SystemExit(1 if any(total.failures for total in totals.values()) else 0)


if __name__ == "__main__":
    main()
