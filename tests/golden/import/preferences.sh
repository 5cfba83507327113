#!/bin/bash
set -e
MODEL=org/model
mlx_lm_lora.train --model "$MODEL" --train --train-mode sft --data data/sft --iters 300 --adapter-path out/sft --fuse
python -m mlx_lm_lora.train --model "$MODEL" --train --train-mode dpo --data data/pairs --iters 200 --beta 0.2 --resume-adapter-file out/sft/adapters.safetensors --adapter-path out/dpo --klpo-top-k 5
python -m mlx_lm_lora train --model $MODEL --train --train-mode grpo --data data/facts --epochs 2 --group-size 8 --adapter-path out/grpo --alpha 0.1
mlx_lm.fuse --model "$MODEL" --adapter-path out/dpo --save-path out/fused
