# Makes .venv with pinned packages, once; sourced by the scripts beside it.
# UHRT_PYTHON chooses another Python (3.11 or newer).
environment() {
    local python=${UHRT_PYTHON:-python3} stamp=.venv/.uhrt-stamp wanted
    wanted=$(cat pyproject.toml scripts/constraints.txt | cksum)
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return
    fi
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "uhrt needs Python 3.11 or newer; set UHRT_PYTHON to one." >&2
        return 1
    fi
    echo "Making .venv (once) ..." >&2
    "$python" -m venv .venv
    # Torch by its pin first: an open range could bring a GPU build of several GB.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        "$(grep '^torch==' scripts/constraints.txt)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --constraint scripts/constraints.txt --editable '.[dev]'
    echo "$wanted" > "$stamp"
}
