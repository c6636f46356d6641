#!/bin/bash
# Packs into train/out/kit, 33 MB that git ignores, what a GPU's machine without a network lacks: the drawings, and wheels
# beside its own torch and transformers. all.sh finds it there. kit.sh [PYTHON'S VERSION, 3.12]; $PYTHON has pip.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kit=$here/out/kit version=${1:-3.12}
mkdir -p "$kit"
cp "${WISP_TRAIN_DIR:-$HOME/wisp-train}/art.tar.xz" "$kit/"
"${PYTHON:-python3}" -m pip download -q --no-deps --only-binary=:all: --python-version "$version" --implementation cp \
  --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 -d "$kit" \
  $(grep -E '^(diffusers|resvg-py)==' "$here/requirements.txt")
du -sh "$kit" "$kit"/*
