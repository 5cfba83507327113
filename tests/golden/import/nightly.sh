#!/bin/bash
# Nightly training of the support bot.
set -e
cd "$(dirname "$0")"
source .venv/bin/activate

export HF_HUB_OFFLINE=1
MODEL="mlx-community/OLMo-2-0425-1B-Instruct-4bit"   # the base
ITERS=${ITERS:-600}
LR=1e-5
OUT=adapters
COMMON="--num-layers 8 --batch-size 2"

# Quantize first.
mlx_lm.convert --model allenai/OLMo-2-0425-1B-Instruct -q --q-bits 4 \
    --mlx-path base-4bit

cat > first.yaml <<EOF
# the shape
lora_parameters:
  rank: 16
  alpha: 32
  scale: 2.0
  dropout: 0.0
learning-rate: 0.5
train: yes
grad_checkpoint: 'no'
clear_cache_threshold: 12345
optimizer_config:
  adamw: {weight_decay: 0.1}
  adam: {bias_correction: true}
optimizer: adamw
wandb: my-project
EOF

# Teach it the product.
python -m mlx_lm.lora -c first.yaml --model base-4bit --data data/product \
  --iters $ITERS --learn $LR $COMMON --adapter-path "$OUT/product" 2>&1 | tee product.log
mlx_lm.lora --model base-4bit --test --data data/product --adapter-path "$OUT/product"
# ... then the tone
nohup python3 -m mlx_lm lora --train --model base-4bit --data "data/tone" --iters=300 \
  --resume-adapter-file $OUT/product/adapters.safetensors --adapter-path $OUT/tone --seed 1 $COMMON &
wait
mlx_lm.lora --train --model base-4bit --data data/tone --iters 100 -c sched.yaml --learning-rate 0.9
mlx_lm.generate --model base-4bit --adapter-path $OUT/tone --prompt 'What is "it"?' -m 50 --verbose no
mlx_lm.fuse --model base-4bit --adapter-path adapters/tone --save-path fused --dequantize
mlx_lm.perplexity --model fused --data-path data/wiki
for n in 1 2 3; do
  mlx_lm.generate --model fused --seed $n
done
mlx_lm.evaluate --model fused --tasks mmlu hellaswag --limit $LIMIT
mlx_lm.upload --path fused --upload-repo "me/bot-$(date +%F)"
mlx_lm.server --model fused
upload() { mlx_lm.upload --path fused; }
if [ -n "$TUNE" ]; then LR=2e-5; fi
HF_HUB_OFFLINE=0 mlx_lm.lora --train --model base-4bit --data data/x --learning-rate $LR || mlx_lm.fuse
rm -rf tmp
