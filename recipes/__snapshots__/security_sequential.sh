#!/usr/bin/env bash
# security_sequential: Vulnerability analysis first, then code fixes on top of it, with replay against forgetting.
# Made by run-recipe from recipes/security_sequential.yaml; it does the same without the runner.
set -euo pipefail
: "${RUN_DIR:=runs/security_sequential/script}"
if [ -e "$RUN_DIR" ]; then
  echo "$RUN_DIR exists: name a new one, as in RUN_DIR=runs/again bash $0" >&2
  exit 1
fi
if here=$(readlink -f "$(command -v run-recipe)" 2> /dev/null); then
  PATH="$PATH:${here%/*}"
fi
if ! hash mlx_lm.convert mlx_lm.fuse mlx_lm.lora run-recipe; then
  echo "$0 needs these programs on the PATH: activate the environment that has them" >&2
  exit 1
fi

# base: Quantize the base model to 4 bits.
mkdir -p "$RUN_DIR/base"
mlx_lm.convert \
  --hf-path=allenai/OLMo-2-0425-1B-Instruct \
  --mlx-path="$RUN_DIR/base/model" \
  --quantize \
  --q-group-size=64 \
  --q-bits=4 \
  --q-mode=affine

# analysis: Train vulnerability analysis.
# continue: run-recipe --resume resumes it; this script restarts from the beginning
mkdir -p "$RUN_DIR/analysis"
cat > "$RUN_DIR/analysis/config.json" <<'JSON'
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
run-recipe train \
  --keep=best \
  -- mlx_lm.lora \
  --config="$RUN_DIR/analysis/config.json" \
  --model="$RUN_DIR/base/model" \
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
  --adapter-path="$RUN_DIR/analysis/adapters" \
  --save-every=200 \
  --test-batches=-1 \
  --max-seq-length=2048 \
  --grad-checkpoint \
  --clear-cache-threshold=0 \
  --seed=1

# analysis_test: How good it is at analysis before codefix touches it.
mkdir -p "$RUN_DIR/analysis_test"
cat > "$RUN_DIR/analysis_test/config.json" <<'JSON'
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
  --config="$RUN_DIR/analysis_test/config.json" \
  --model="$RUN_DIR/base/model" \
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
  --adapter-path="$RUN_DIR/analysis/adapters" \
  --save-every=200 \
  --test \
  --test-batches=-1 \
  --max-seq-length=2048 \
  --grad-checkpoint \
  --clear-cache-threshold=0 \
  --seed=0

# replay: Codefix rows with a share of analysis rows among them.
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

# codefix: Train code fixes on top of the analysis adapter.
# continue: run-recipe --resume resumes it; this script restarts from the beginning
mkdir -p "$RUN_DIR/codefix"
cat > "$RUN_DIR/codefix/config.json" <<'JSON'
{
  "optimizer_config": {"adamw": {"betas": [0.9, 0.999], "eps": 1e-08, "weight_decay": 0.01, "bias_correction": false}},
  "mask_prompt": false,
  "test": false,
  "lr_schedule": {"name": "cosine_decay", "arguments": [1e-06, 1050, 0.0], "warmup": 150, "warmup_init": 0.0},
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
  --retention-every=100 \
  --retention-batches=-1 \
  --retention-stop-above=1.15 \
  -- mlx_lm.lora \
  --config="$RUN_DIR/codefix/config.json" \
  --model="$RUN_DIR/base/model" \
  --train \
  --data="$RUN_DIR/replay/data" \
  --fine-tune-type=lora \
  --optimizer=adamw \
  --num-layers=-1 \
  --batch-size=1 \
  --iters=1200 \
  --val-batches=-1 \
  --learning-rate=1e-06 \
  --steps-per-report=10 \
  --steps-per-eval=100 \
  --grad-accumulation-steps=1 \
  --resume-adapter-file="$RUN_DIR/analysis/adapters/adapters.safetensors" \
  --adapter-path="$RUN_DIR/codefix/adapters" \
  --save-every=200 \
  --test-batches=-1 \
  --max-seq-length=2048 \
  --grad-checkpoint \
  --clear-cache-threshold=0 \
  --seed=2

# codefix_test: How good it is at code fixes.
mkdir -p "$RUN_DIR/codefix_test"
cat > "$RUN_DIR/codefix_test/config.json" <<'JSON'
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
  --config="$RUN_DIR/codefix_test/config.json" \
  --model="$RUN_DIR/base/model" \
  --data=recipes/data/security/codefix \
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
  --adapter-path="$RUN_DIR/codefix/adapters" \
  --save-every=200 \
  --test \
  --test-batches=-1 \
  --max-seq-length=2048 \
  --grad-checkpoint \
  --clear-cache-threshold=0 \
  --seed=0

# retention: How much of the analysis is left.
# expect: metrics.test_loss <= stages.analysis_test.metrics.test_loss * vars.most_forgetting
mkdir -p "$RUN_DIR/retention"
cat > "$RUN_DIR/retention/config.json" <<'JSON'
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
  --config="$RUN_DIR/retention/config.json" \
  --model="$RUN_DIR/base/model" \
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
  --adapter-path="$RUN_DIR/codefix/adapters" \
  --save-every=200 \
  --test \
  --test-batches=-1 \
  --max-seq-length=2048 \
  --grad-checkpoint \
  --clear-cache-threshold=0 \
  --seed=0

# fuse: One model of the base and both skills.
mkdir -p "$RUN_DIR/fuse"
mlx_lm.fuse \
  --model="$RUN_DIR/base/model" \
  --save-path="$RUN_DIR/fuse/model" \
  --adapter-path="$RUN_DIR/codefix/adapters" \
  --dequantize \
  --gguf-path=ggml-model-f16.gguf
