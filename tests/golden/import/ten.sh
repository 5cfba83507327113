#!/usr/bin/env bash
# Two skills, one after the other.
set -euo pipefail
BASE=mlx-community/OLMo-2-0425-1B-Instruct-4bit
RANK_FILE=lora.yaml

cat > "$RANK_FILE" <<'YAML'
fine_tune_type: lora
num_layers: -1
lora_parameters: {rank: 16, scale: 2.0, dropout: 0.1, keys: null}
lr_schedule:
  name: cosine_decay
  arguments: [1e-5, 550, 0.0]
  warmup: 50
YAML

# What the base can do already.
mlx_lm.generate --model "$BASE" --prompt "Name a city." --max-tokens 20
run-recipe data mix --primary data/skill --replay data/chat --out mixed --ratio 0.2

mlx_lm.lora --config "$RANK_FILE" --model "$BASE" --train --data data/chat --iters 600 \
  --learning-rate 1e-5 --batch-size 2 --grad-checkpoint --adapter-path adapters/chat
mlx_lm.lora --config "$RANK_FILE" --model "$BASE" --test --data data/chat \
  --adapter-path adapters/chat
mlx_lm.lora --config "$RANK_FILE" --model "$BASE" --train --data mixed --iters 600 --seed 7 \
  --learning-rate 1e-5 --batch-size 2 --grad-checkpoint --adapter-path adapters/skill \
  --resume-adapter-file adapters/chat/adapters.safetensors
mlx_lm.lora --config "$RANK_FILE" --model "$BASE" --test --data data/skill \
  --adapter-path adapters/skill
mlx_lm.lora --config "$RANK_FILE" --model "$BASE" --test --data data/chat \
  --adapter-path adapters/skill
mlx_lm.fuse --model "$BASE" --adapter-path adapters/skill --save-path fused --dequantize
python -m mlx_lm convert --hf-path fused --mlx-path small -q --q-bits 4 --q-group-size 64
mlx_lm perplexity --model small --data-path data/wiki --num-samples 32
