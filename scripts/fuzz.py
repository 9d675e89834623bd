"""Hunt for files that crash, hang or mislead the readers; longer than the tests do.

    python scripts/fuzz.py --minutes 10 --seed 1000000 --keep /tmp/failures

Prints what became of the damaged files; those that failed are kept, and their seeds told.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fuzzing.hunt import hunt
from fuzzing.seeds import write_checkpoints, write_images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=10**6, help="of the first damaged file")
    parser.add_argument("--keep", type=Path, help="folder for files that failed")
    args = parser.parse_args()
    end, seed, failures = time.monotonic() + 60 * args.minutes, args.seed, 0
    with tempfile.TemporaryDirectory() as folder:
        kinds = {"image": write_images, "checkpoint": write_checkpoints}
        for kind, write in kinds.items():
            (Path(folder) / kind).mkdir()
            write(Path(folder) / kind)
        totals = {kind: {"read": 0, "refused": 0, "FAILED": 0} for kind in kinds}
        slowest, largest = 0.0, 0
        while time.monotonic() < end:
            for kind, share in (("image", 300), ("checkpoint", 60)):
                files = list((Path(folder) / kind).iterdir())
                found = hunt(kind, files, Path(folder), range(seed, seed + share), args.keep)
                for outcome, count in found.outcomes.items():
                    totals[kind][outcome] += count
                slowest = max(slowest, found.slowest)
                largest = max(largest, found.largest)
                for number, name, detail in found.failures:
                    failures += 1
                    print(f"seed {number}, {kind} {name}:\n{detail}", flush=True)
            seed += 300
    for kind, outcomes in totals.items():
        number = max(sum(outcomes.values()), 1)
        shares = ", ".join(f"{name} {count / number:.1%}" for name, count in outcomes.items())
        print(f"{number:,} damaged {kind}s: {shares}")
    print(f"slowest {slowest:.2f} s, most memory {largest / 1e6:.0f} MB")
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
