#!/usr/bin/env bash
# full: Train the weights themselves, of the last four blocks, in single precision.
# Made by run-recipe from recipes/full.yaml; it does the same without the runner.
set -euo pipefail
: "${RUN_DIR:=runs/full/script}"
if [ -e "$RUN_DIR" ]; then
  echo "$RUN_DIR exists: name a new one, as in RUN_DIR=runs/again bash $0" >&2
  exit 1
fi
if here=$(readlink -f "$(command -v run-recipe)" 2> /dev/null); then
  PATH="$PATH:${here%/*}"
fi
if ! hash mlx_lm.convert mlx_lm.fuse mlx_lm.lora; then
  echo "$0 needs these programs on the PATH: activate the environment that has them" >&2
  exit 1
fi

# base: Small steps are lost in bfloat16.
mkdir -p "$RUN_DIR/base"
mlx_lm.convert \
  --hf-path=allenai/OLMo-2-0425-1B-Instruct \
  --mlx-path="$RUN_DIR/base/model" \
  --q-mode=affine \
  --dtype=float32

# train
mkdir -p "$RUN_DIR/train"
cat > "$RUN_DIR/train/config.json" <<'JSON'
{
  "optimizer_config": {"adamw": {"betas": [0.9, 0.999], "eps": 1e-08, "weight_decay": 0.01, "bias_correction": false}},
  "mask_prompt": false,
  "test": false,
  "lr_schedule": {"name": "cosine_decay", "arguments": [1e-05, 650, 0.0], "warmup": 150, "warmup_init": 0.0},
  "lora_parameters": {"rank": 8, "scale": 20.0, "dropout": 0.0, "keys": null},
  "hf_dataset": null,
  "prompt_feature": "prompt",
  "completion_feature": "completion",
  "text_feature": "text",
  "chat_feature": "messages"
}
JSON
mlx_lm.lora \
  --config="$RUN_DIR/train/config.json" \
  --model="$RUN_DIR/base/model" \
  --train \
  --data=recipes/data/security/analysis \
  --fine-tune-type=full \
  --optimizer=adamw \
  --num-layers=4 \
  --batch-size=1 \
  --iters=800 \
  --val-batches=-1 \
  --learning-rate=1e-05 \
  --steps-per-report=10 \
  --steps-per-eval=100 \
  --grad-accumulation-steps=1 \
  --adapter-path="$RUN_DIR/train/adapters" \
  --save-every=200 \
  --test-batches=-1 \
  --max-seq-length=2048 \
  --grad-checkpoint \
  --clear-cache-threshold=0 \
  --seed=0

# test
mkdir -p "$RUN_DIR/test"
cat > "$RUN_DIR/test/config.json" <<'JSON'
{
  "train": false,
  "optimizer_config": {"adamw": {"betas": [0.9, 0.999], "eps": 1e-08, "weight_decay": 0.01, "bias_correction": false}},
  "mask_prompt": false,
  "lr_schedule": {"name": "cosine_decay", "arguments": [1e-05, 850, 0.0], "warmup": 150, "warmup_init": 0.0},
  "lora_parameters": {"rank": 8, "scale": 20.0, "dropout": 0.0, "keys": null},
  "hf_dataset": null,
  "prompt_feature": "prompt",
  "completion_feature": "completion",
  "text_feature": "text",
  "chat_feature": "messages"
}
JSON
mlx_lm.lora \
  --config="$RUN_DIR/test/config.json" \
  --model="$RUN_DIR/base/model" \
  --data=recipes/data/security/analysis \
  --fine-tune-type=full \
  --optimizer=adamw \
  --num-layers=4 \
  --batch-size=1 \
  --iters=1000 \
  --val-batches=-1 \
  --learning-rate=1e-05 \
  --steps-per-report=10 \
  --steps-per-eval=100 \
  --grad-accumulation-steps=1 \
  --adapter-path="$RUN_DIR/train/adapters" \
  --save-every=200 \
  --test \
  --test-batches=-1 \
  --max-seq-length=2048 \
  --grad-checkpoint \
  --clear-cache-threshold=0 \
  --seed=0

# fuse
mkdir -p "$RUN_DIR/fuse"
mlx_lm.fuse \
  --model="$RUN_DIR/base/model" \
  --save-path="$RUN_DIR/fuse/model" \
  --adapter-path="$RUN_DIR/train/adapters" \
  --dequantize \
  --gguf-path=ggml-model-f16.gguf
