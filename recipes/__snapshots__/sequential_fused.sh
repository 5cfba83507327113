#!/usr/bin/env bash
# sequential_fused: One skill on top of another, the first fused into the base before the second is trained.
# Made by run-recipe from recipes/sequential_fused.yaml; it does the same without the runner.
set -euo pipefail
: "${RUN_DIR:=runs/sequential_fused/script}"
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

# first
mkdir -p "$RUN_DIR/first"
cat > "$RUN_DIR/first/config.json" <<'JSON'
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
  --config="$RUN_DIR/first/config.json" \
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
  --adapter-path="$RUN_DIR/first/adapters" \
  --save-every=200 \
  --test-batches=-1 \
  --max-seq-length=2048 \
  --grad-checkpoint \
  --clear-cache-threshold=0 \
  --seed=0

# before: The first skill, before the second touches it.
mkdir -p "$RUN_DIR/before"
cat > "$RUN_DIR/before/config.json" <<'JSON'
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
  --config="$RUN_DIR/before/config.json" \
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
  --adapter-path="$RUN_DIR/first/adapters" \
  --save-every=200 \
  --test \
  --test-batches=-1 \
  --max-seq-length=2048 \
  --grad-checkpoint \
  --clear-cache-threshold=0 \
  --seed=0

# replay
mkdir -p "$RUN_DIR/replay"
run-recipe data mix \
  --primary=recipes/data/security/codefix \
  --replay=recipes/data/security/analysis \
  --out="$RUN_DIR/replay/data" \
  --ratio=0.15 \
  --tolerance=0.0 \
  --seed=0 \
  --prompt-feature=prompt \
  --completion-feature=completion \
  --chat-feature=messages \
  --text-feature=text

# merge: The base with the first skill in it, which the second starts from.
mkdir -p "$RUN_DIR/merge"
mlx_lm.fuse \
  --model=mlx-community/OLMo-2-0425-1B-Instruct-4bit \
  --save-path="$RUN_DIR/merge/model" \
  --adapter-path="$RUN_DIR/first/adapters" \
  --dequantize \
  --gguf-path=ggml-model-f16.gguf

# second
mkdir -p "$RUN_DIR/second"
cat > "$RUN_DIR/second/config.json" <<'JSON'
{
  "optimizer_config": {"adamw": {"betas": [0.9, 0.999], "eps": 1e-08, "weight_decay": 0.01, "bias_correction": false}},
  "mask_prompt": false,
  "test": false,
  "lr_schedule": {"name": "cosine_decay", "arguments": [1e-06, 650, 0.0], "warmup": 150, "warmup_init": 0.0},
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
run-recipe train \
  --keep=best \
  --retention-data=recipes/data/security/analysis \
  --retention-split=valid \
  --retention-every=200 \
  --retention-batches=-1 \
  --retention-stop-above=1.15 \
  -- mlx_lm.lora \
  --config="$RUN_DIR/second/config.json" \
  --model="$RUN_DIR/merge/model" \
  --train \
  --data="$RUN_DIR/replay/data" \
  --fine-tune-type=lora \
  --optimizer=adamw \
  --num-layers=-1 \
  --batch-size=1 \
  --iters=800 \
  --val-batches=-1 \
  --learning-rate=1e-06 \
  --steps-per-report=10 \
  --steps-per-eval=100 \
  --grad-accumulation-steps=1 \
  --adapter-path="$RUN_DIR/second/adapters" \
  --save-every=200 \
  --test-batches=-1 \
  --max-seq-length=2048 \
  --grad-checkpoint \
  --clear-cache-threshold=0 \
  --seed=1

# after: The first skill, after the second.
# expect: metrics.test_loss <= stages.before.metrics.test_loss * 1.1
mkdir -p "$RUN_DIR/after"
cat > "$RUN_DIR/after/config.json" <<'JSON'
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
  --config="$RUN_DIR/after/config.json" \
  --model="$RUN_DIR/merge/model" \
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
  --adapter-path="$RUN_DIR/second/adapters" \
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
  --model="$RUN_DIR/merge/model" \
  --save-path="$RUN_DIR/fuse/model" \
  --adapter-path="$RUN_DIR/second/adapters" \
  --dequantize \
  --gguf-path=ggml-model-f16.gguf
