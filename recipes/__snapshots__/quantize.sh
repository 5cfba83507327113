#!/usr/bin/env bash
# quantize: Quantize a model to 4 bits by rounding, and hold its answers against those of the original.
# Made by run-recipe from recipes/quantize.yaml; it does the same without the runner.
set -euo pipefail
: "${RUN_DIR:=runs/quantize/script}"
if [ -e "$RUN_DIR" ]; then
  echo "$RUN_DIR exists: name a new one, as in RUN_DIR=runs/again bash $0" >&2
  exit 1
fi
if here=$(readlink -f "$(command -v run-recipe)" 2> /dev/null); then
  PATH="$PATH:${here%/*}"
fi
if ! hash mlx_lm.convert run-recipe; then
  echo "$0 needs these programs on the PATH: activate the environment that has them" >&2
  exit 1
fi

# quantize
mkdir -p "$RUN_DIR/quantize"
mlx_lm.convert \
  --hf-path=allenai/OLMo-2-0425-1B-Instruct \
  --mlx-path="$RUN_DIR/quantize/model" \
  --quantize \
  --q-group-size=64 \
  --q-bits=4 \
  --q-mode=affine

# original
mkdir -p "$RUN_DIR/original"
run-recipe eval score \
  --model=allenai/OLMo-2-0425-1B-Instruct \
  --prompts=recipes/data/security/prompts.jsonl \
  --out="$RUN_DIR/original/score" \
  --max-tokens=256 \
  --batch-size=8 \
  --chat-template-config='{}' \
  --temp=0.0 \
  --top-p=1.0 \
  --top-k=0 \
  --min-p=0.0 \
  --seed=0

# quantized
# expect: metrics.score >= stages.original.metrics.score - 0.05
mkdir -p "$RUN_DIR/quantized"
run-recipe eval score \
  --model="$RUN_DIR/quantize/model" \
  --prompts=recipes/data/security/prompts.jsonl \
  --out="$RUN_DIR/quantized/score" \
  --max-tokens=256 \
  --batch-size=8 \
  --chat-template-config='{}' \
  --temp=0.0 \
  --top-p=1.0 \
  --top-k=0 \
  --min-p=0.0 \
  --seed=0
