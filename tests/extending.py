"""A copy of the package with one file and one line more, as made by somebody who extends it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import uhrtranslate

CACHES = shutil.ignore_patterns("__pycache__")


def package_with(folder, file, text, table, line):
    """Copy the package into a folder, add a file to it and a line to one of its tables.

    `file` is the new file's path inside the package, `text` its content; `line` becomes the last
    member of `table` in the copy's tables.py. Gives the folder, for `run_uhrt`.
    """
    package = folder / "uhrtranslate"
    shutil.copytree(Path(uhrtranslate.__file__).parent, package, ignore=CACHES)
    assert not (package / file).exists()
    (package / file).write_text(text)
    tables = (package / "tables.py").read_text()
    table_alone = rf"^({table}\b.*?)(^    \}}\n\)$)"  # from its name to the end of its dict
    longer, count = re.subn(table_alone, rf"\1        {line}\n\2", tables, flags=re.M | re.S)
    assert count == 1, f"tables.py has no {table}"
    (package / "tables.py").write_text(longer)
    return folder


def run_uhrt(folder, *arguments, cwd, timeout=200):
    """Run the copy's command line in `cwd`."""
    return subprocess.run(
        [sys.executable, "-m", "uhrtranslate", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
