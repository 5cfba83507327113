#!/usr/bin/env bash
# grpo: Let the model answer questions several times, and reward the answers that are right and in form (GRPO); fuse the result only if the rewards are high enough.
# Made by run-recipe from recipes/grpo.yaml; it does the same without the runner.
set -euo pipefail
: "${RUN_DIR:=runs/grpo/script}"
if [ -e "$RUN_DIR" ]; then
  echo "$RUN_DIR exists: name a new one, as in RUN_DIR=runs/again bash $0" >&2
  exit 1
fi
export MLX_DISABLE_COMPILE=1
export HF_HUB_OFFLINE=1
if here=$(readlink -f "$(command -v run-recipe)" 2> /dev/null); then
  PATH="$PATH:${here%/*}"
fi
if ! hash mlx_lm.fuse mlx_lm_lora.train run-recipe; then
  echo "$0 needs these programs on the PATH: activate the environment that has them" >&2
  exit 1
fi

# smoke_model: Make the tiny base model of a smoke run: llama, because nothing names another.
mkdir -p "$RUN_DIR/smoke_model"
run-recipe model tiny \
  --path="$RUN_DIR/smoke_model/model" \
  --architecture=llama \
  --config='{}' \
  --num-layers=2 \
  --hidden-size=64 \
  --intermediate-size=64 \
  --num-attention-heads=1 \
  --seed=0

# grpo
# expect: metrics.train_total_rewards_mean >= vars.least_reward
mkdir -p "$RUN_DIR/grpo"
cat > "$RUN_DIR/grpo/config.json" <<'JSON'
{
  "load_in_4bits": false,
  "load_in_6bits": false,
  "load_in_8bits": false,
  "load_in_mxfp4": false,
  "mask_prompt": false,
  "test": false,
  "grad_checkpoint": false,
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
  --config="$RUN_DIR/grpo/config.json" \
  --model="$RUN_DIR/smoke_model/model" \
  --train \
  --data=recipes/data/security/facts \
  --train-type=lora \
  --train-mode=grpo \
  --optimizer=adam \
  --sft-loss-type=nll \
  --num-layers=-1 \
  --batch-size=1 \
  --iters=12 \
  --gradient-accumulation-steps=1 \
  --val-batches=2 \
  --learning-rate=1e-05 \
  --steps-per-report=1 \
  --steps-per-eval=4 \
  --adapter-path="$RUN_DIR/grpo/adapters" \
  --save-every=4 \
  --test-batches=2 \
  --max-seq-length=2048 \
  --recurrence-chunk-size=64 \
  --seed=0 \
  --beta=0.04 \
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
  --group-size=2 \
  --max-completion-length=8 \
  --epsilon=0.0001 \
  --temperature=0.8 \
  --grpo-loss-type=grpo \
  --importance-sampling-level=token \
  --klpo-route=token \
  --klpo-kl-estimator=mc \
  --klpo-mc-samples=8 \
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
  --model="$RUN_DIR/smoke_model/model" \
  --save-path="$RUN_DIR/fuse/model" \
  --adapter-path="$RUN_DIR/grpo/adapters" \
  --dequantize \
  --gguf-path=ggml-model-f16.gguf
