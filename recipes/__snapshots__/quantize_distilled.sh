#!/usr/bin/env bash
# quantize_distilled: Quantize to 4 bits and train the scales until the model answers as the original does (DWQ).
# Made by run-recipe from recipes/quantize_distilled.yaml; it does the same without the runner.
set -euo pipefail
: "${RUN_DIR:=runs/quantize_distilled/script}"
if [ -e "$RUN_DIR" ]; then
  echo "$RUN_DIR exists: name a new one, as in RUN_DIR=runs/again bash $0" >&2
  exit 1
fi
if here=$(readlink -f "$(command -v run-recipe)" 2> /dev/null); then
  PATH="$PATH:${here%/*}"
fi
if ! hash mlx_lm.dwq; then
  echo "$0 needs these programs on the PATH: activate the environment that has them" >&2
  exit 1
fi

# dwq
mkdir -p "$RUN_DIR/dwq"
mlx_lm.dwq \
  --model=allenai/OLMo-2-0425-1B-Instruct \
  --mlx-path="$RUN_DIR/dwq/model" \
  --bits=4 \
  --group-size=64 \
  --num-samples=160 \
  --max-seq-length=1025 \
  --seed=123 \
  --learning-rate=1e-06 \
  --batch-size=4 \
  --data-path=recipes/data/security/analysis
