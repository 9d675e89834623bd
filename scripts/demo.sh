#!/usr/bin/env bash
# Makes the environment and translates a real image with a generator that ships in the package.
# scripts/demo.sh [IMAGE]: your own slide or photo, H&E; without it, a stained section (IHC) that
# comes with scikit-image.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
environment
if [ $# -gt 0 ]; then
    image=$1 model=he2ihc
else
    image=$(.venv/bin/python -c \
        'from pathlib import Path; import skimage.data; print(Path(skimage.data.__file__).parent / "ihc.png")')
    model=ihc2he
fi
mkdir -p demo-output
name=$(basename "${image%.*}")
.venv/bin/uhrt translate "$image" --model "$model" --preview --overwrite \
    --output "demo-output/$name.pooled.tif"
echo "Result (pyramidal TIFF):  $PWD/demo-output/$name.pooled.tif"
echo "Source and result (PNG):  $PWD/demo-output/$name.pooled.preview.png"
