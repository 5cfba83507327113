#!/usr/bin/env bash
# quantize_calibrated: Three ways to quantize by a look at what the weights do with a text; keep the best.
# Made by run-recipe from recipes/quantize_calibrated.yaml; it does the same without the runner.
set -euo pipefail
: "${RUN_DIR:=runs/quantize_calibrated/script}"
if [ -e "$RUN_DIR" ]; then
  echo "$RUN_DIR exists: name a new one, as in RUN_DIR=runs/again bash $0" >&2
  exit 1
fi
if here=$(readlink -f "$(command -v run-recipe)" 2> /dev/null); then
  PATH="$PATH:${here%/*}"
fi
if ! hash mlx_lm.awq mlx_lm.dynamic_quant mlx_lm.gptq; then
  echo "$0 needs these programs on the PATH: activate the environment that has them" >&2
  exit 1
fi

# awq
mkdir -p "$RUN_DIR/awq"
mlx_lm.awq \
  --model=allenai/OLMo-2-0425-1B-Instruct \
  --mlx-path="$RUN_DIR/awq/model" \
  --bits=4 \
  --group-size=64 \
  --embed-bits=4 \
  --embed-group-size=32 \
  --num-samples=128 \
  --sequence-length=512 \
  --n-grid=20 \
  --seed=123

# gptq
mkdir -p "$RUN_DIR/gptq"
mlx_lm.gptq \
  --model=allenai/OLMo-2-0425-1B-Instruct \
  --mlx-path="$RUN_DIR/gptq/model" \
  --bits=4 \
  --group-size=64 \
  --fallback-bits=6 \
  --fallback-group-size=64 \
  --num-samples=-1 \
  --sequence-length=512 \
  --seed=123

# dynamic
mkdir -p "$RUN_DIR/dynamic"
mlx_lm.dynamic_quant \
  --model=allenai/OLMo-2-0425-1B-Instruct \
  --mlx-path="$RUN_DIR/dynamic/model" \
  --seed=123 \
  --target-bpw=5.0 \
  --low-bits=4 \
  --low-group-size=64 \
  --high-bits=5 \
  --high-group-size=64 \
  --accumulation-dtype=float32
