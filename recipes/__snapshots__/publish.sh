#!/usr/bin/env bash
# publish: Security answers of a small model, trained on a laptop.
# Made by run-recipe from recipes/publish.yaml; it does the same without the runner.
set -euo pipefail
: "${RUN_DIR:=runs/publish/script}"
if [ -e "$RUN_DIR" ]; then
  echo "$RUN_DIR exists: name a new one, as in RUN_DIR=runs/again bash $0" >&2
  exit 1
fi
if here=$(readlink -f "$(command -v run-recipe)" 2> /dev/null); then
  PATH="$PATH:${here%/*}"
fi
if ! hash mlx_lm.fuse mlx_lm.lora run-recipe; then
  echo "$0 needs these programs on the PATH: activate the environment that has them" >&2
  exit 1
fi

# train
mkdir -p "$RUN_DIR/train"
cat > "$RUN_DIR/train/config.json" <<'JSON'
{
  "optimizer_config": {"adamw": {"betas": [0.9, 0.999], "eps": 1e-08, "weight_decay": 0.01, "bias_correction": false}},
  "mask_prompt": false,
  "test": false,
  "lr_schedule": {"name": "cosine_decay", "arguments": [5e-06, 650, 0.0], "warmup": 150, "warmup_init": 0.0},
  "lora_parameters": {
    "rank": 16,
    "scale": 2.0,
    "dropout": 0.1,
    "keys": [
      "self_attn.q_proj",
      "self_attn.k_proj",
      "self_attn.v_proj",
      "self_attn.o_proj",
      "mlp.gate_proj",
      "mlp.up_proj",
      "mlp.down_proj"
    ]
  },
  "hf_dataset": null,
  "prompt_feature": "prompt",
  "completion_feature": "completion",
  "text_feature": "text",
  "chat_feature": "messages"
}
JSON
mlx_lm.lora \
  --config="$RUN_DIR/train/config.json" \
  --model=mlx-community/OLMo-2-0425-1B-Instruct-4bit \
  --train \
  --data=recipes/data/security/analysis \
  --fine-tune-type=lora \
  --optimizer=adamw \
  --num-layers=-1 \
  --batch-size=1 \
  --iters=800 \
  --val-batches=-1 \
  --learning-rate=5e-06 \
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
  "lr_schedule": {"name": "cosine_decay", "arguments": [5e-06, 850, 0.0], "warmup": 150, "warmup_init": 0.0},
  "lora_parameters": {
    "rank": 16,
    "scale": 2.0,
    "dropout": 0.1,
    "keys": [
      "self_attn.q_proj",
      "self_attn.k_proj",
      "self_attn.v_proj",
      "self_attn.o_proj",
      "mlp.gate_proj",
      "mlp.up_proj",
      "mlp.down_proj"
    ]
  },
  "hf_dataset": null,
  "prompt_feature": "prompt",
  "completion_feature": "completion",
  "text_feature": "text",
  "chat_feature": "messages"
}
JSON
mlx_lm.lora \
  --config="$RUN_DIR/test/config.json" \
  --model=mlx-community/OLMo-2-0425-1B-Instruct-4bit \
  --data=recipes/data/security/analysis \
  --fine-tune-type=lora \
  --optimizer=adamw \
  --num-layers=-1 \
  --batch-size=1 \
  --iters=1000 \
  --val-batches=-1 \
  --learning-rate=5e-06 \
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

# before
mkdir -p "$RUN_DIR/before"
run-recipe eval score \
  --model=mlx-community/OLMo-2-0425-1B-Instruct-4bit \
  --prompts=recipes/data/security/prompts.jsonl \
  --out="$RUN_DIR/before/score" \
  --max-tokens=256 \
  --batch-size=8 \
  --chat-template-config='{}' \
  --temp=0.0 \
  --top-p=1.0 \
  --top-k=0 \
  --min-p=0.0 \
  --seed=0

# after
# expect: metrics.score > stages.before.metrics.score
# expect: metrics.score_restraint >= stages.before.metrics.score_restraint
mkdir -p "$RUN_DIR/after"
run-recipe eval score \
  --model=mlx-community/OLMo-2-0425-1B-Instruct-4bit \
  --adapter-path="$RUN_DIR/train/adapters" \
  --prompts=recipes/data/security/prompts.jsonl \
  --out="$RUN_DIR/after/score" \
  --max-tokens=256 \
  --batch-size=8 \
  --chat-template-config='{}' \
  --temp=0.0 \
  --top-p=1.0 \
  --top-k=0 \
  --min-p=0.0 \
  --seed=0

# fuse
mkdir -p "$RUN_DIR/fuse"
mlx_lm.fuse \
  --model=mlx-community/OLMo-2-0425-1B-Instruct-4bit \
  --save-path="$RUN_DIR/fuse/model" \
  --adapter-path="$RUN_DIR/train/adapters" \
  --dequantize \
  --gguf-path=ggml-model-f16.gguf

# publish
mkdir -p "$RUN_DIR/publish"
run-recipe hub publish \
  --path="$RUN_DIR/fuse/model" \
  --repo-id=someone/olmo-2-1b-security \
  --license=apache-2.0 \
  --language=en \
  --private \
  --commit-message='Publish with run-recipe' \
  --no-replace \
  --dry-run \
  --out="$RUN_DIR/publish/card"
