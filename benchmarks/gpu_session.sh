#!/usr/bin/env bash
# Use a machine for so many minutes, unattended: parity, speed, training. See benchmarks/README.md.
#
#   bash benchmarks/gpu_session.sh MINUTES OUT
#
# Needs python3 with torch, and gpu_pack/ (benchmarks/pack_gpu.py). PYTHON and PACK name others.
set -eu
if [ $# -ne 2 ]; then
    echo "got $# arguments, expected two: bash benchmarks/gpu_session.sh MINUTES OUT" >&2
    exit 2
fi
out=$(realpath -m "$2")
cd "$(dirname "$0")/.."
pack=$(realpath -m "${PACK:-gpu_pack}")
python=${PYTHON:-python3}
mkdir -p "$out"
# What the machine lacks, and nothing that it has: its own versions fit each other.
site=$(realpath -m runs/gpu_session/site)
for wheel in "$pack"/wheels/*.whl; do
    package=$(basename "$wheel" | cut -d- -f1)
    "$python" -c "import importlib.metadata, sys; importlib.metadata.version(sys.argv[1])" "$package" 2>/dev/null ||
        "$python" -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target "$site" "$wheel" ||
        echo "$package could not be installed; the parts that need it will say so" >&2
done
export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
exec "$python" benchmarks/gpu_session.py "$1" "$out" --pack "$pack" --work "$(dirname "$site")"
