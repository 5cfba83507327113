#!/usr/bin/env bash
# dpo: Fine-tune on good answers, then on pairs of a better and a worse one (DPO), and fuse the result only if it prefers the better ones.
# Made by run-recipe from recipes/dpo.yaml; it does the same without the runner.
set -euo pipefail
: "${RUN_DIR:=runs/dpo/script}"
if [ -e "$RUN_DIR" ]; then
  echo "$RUN_DIR exists: name a new one, as in RUN_DIR=runs/again bash $0" >&2
  exit 1
fi
if here=$(readlink -f "$(command -v run-recipe)" 2> /dev/null); then
  PATH="$PATH:${here%/*}"
fi
if ! hash mlx_lm.fuse mlx_lm.lora mlx_lm_lora.train; then
  echo "$0 needs these programs on the PATH: activate the environment that has them" >&2
  exit 1
fi

# sft
mkdir -p "$RUN_DIR/sft"
cat > "$RUN_DIR/sft/config.json" <<'JSON'
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
  --config="$RUN_DIR/sft/config.json" \
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
  --adapter-path="$RUN_DIR/sft/adapters" \
  --save-every=200 \
  --test-batches=-1 \
  --max-seq-length=2048 \
  --grad-checkpoint \
  --clear-cache-threshold=0 \
  --seed=0

# merge: The model that DPO starts from, and holds its answers against.
mkdir -p "$RUN_DIR/merge"
mlx_lm.fuse \
  --model=mlx-community/OLMo-2-0425-1B-Instruct-4bit \
  --save-path="$RUN_DIR/merge/model" \
  --adapter-path="$RUN_DIR/sft/adapters" \
  --dequantize \
  --gguf-path=ggml-model-f16.gguf

# dpo
# expect: metrics.test_accuracies >= vars.least_accuracy
mkdir -p "$RUN_DIR/dpo"
cat > "$RUN_DIR/dpo/config.json" <<'JSON'
{
  "load_in_4bits": false,
  "load_in_6bits": false,
  "load_in_8bits": false,
  "load_in_mxfp4": false,
  "mask_prompt": false,
  "efficient_long_context": false,
  "fuse": false,
  "qat_enable": false,
  "optimizer_config": {"adam": {"betas": [0.9, 0.999], "eps": 1e-08, "bias_correction": false}},
  "lr_schedule": null,
  "lora_parameters": {"rank": 16, "scale": 2.0, "dropout": 0.0},
  "judge_config": {"system_prompt": null},
  "prompt_feature": "prompt",
  "completion_feature": "completion",
  "text_feature": "text",
  "chat_feature": "messages",
  "system_feature": "system",
  "chosen_feature": "chosen",
  "rejected_feature": "rejected",
  "answer_feature": "answer",
  "type_feature": "type",
  "preference_score_feature": "preference_score"
}
JSON
mlx_lm_lora.train \
  --config="$RUN_DIR/dpo/config.json" \
  --model="$RUN_DIR/merge/model" \
  --train \
  --data=recipes/data/security/pairs \
  --train-type=lora \
  --train-mode=dpo \
  --optimizer=adam \
  --sft-loss-type=nll \
  --num-layers=-1 \
  --batch-size=1 \
  --iters=200 \
  --gradient-accumulation-steps=1 \
  --val-batches=-1 \
  --learning-rate=5e-06 \
  --steps-per-report=10 \
  --steps-per-eval=50 \
  --adapter-path="$RUN_DIR/dpo/adapters" \
  --save-every=100 \
  --test \
  --test-batches=-1 \
  --max-seq-length=2048 \
  --grad-checkpoint \
  --recurrence-chunk-size=64 \
  --seed=0 \
  --beta=0.1 \
  --reward-scaling=1.0 \
  --dpo-cpo-loss-type=sigmoid \
  --delta=50.0 \
  --dsla-loss=dpo \
  --latent-weight=0.1 \
  --latent-margin=0.05 \
  --latent-gamma=10.0 \
  --latent-variant=both \
  --latent-pooling=answer_mean \
  --latent-layer=final \
  --lambda-mse-target=0.05 \
  --tau-mse-target=1.0 \
  --lambda-mse=0.4 \
  --clip-epsilon-logits=2.0 \
  --group-size=4 \
  --max-completion-length=512 \
  --epsilon=0.0001 \
  --temperature=1.0 \
  --grpo-loss-type=grpo \
  --importance-sampling-level=token \
  --klpo-route=token \
  --klpo-kl-estimator=mc \
  --klpo-mc-samples=128 \
  --klpo-top-k=128 \
  --klpo-tail-floor=1e-06 \
  --qat-bits=8 \
  --qat-group-size=64 \
  --qat-mode=affine \
  --qat-start-step=1 \
  --qat-interval=1

# fuse
mkdir -p "$RUN_DIR/fuse"
mlx_lm.fuse \
  --model="$RUN_DIR/merge/model" \
  --save-path="$RUN_DIR/fuse/model" \
  --adapter-path="$RUN_DIR/dpo/adapters" \
  --gguf-path=ggml-model-f16.gguf
