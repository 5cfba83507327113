#!/bin/bash
# usage: wrapper.sh DATA [ITERS]
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
ARGS=(
  --iters "${2:-300}"   # how long
  --seed $((6 * 7))
)
if [ -n "${MASK:-}" ]; then
  ARGS+=(--mask-prompt)
  python prepare.py "$1" --mask
fi
cat > shape.yaml <<EOF
lora_parameters: {rank: 8, alpha: 16, dropout: 0.05}
steps_per_eval: $EVERY
EOF
python -m mlx_lm lora -c shape.yaml --model org/model --train --data "$1" \
  `# where the adapter goes` --adapter-path "$HERE/out" \
  "${ARGS[@]}"
mlx_lm.lora --model org/model --train --data "$PWD/data" --lora-rank 16 "${@:3}"
mlx_lm.fuse --model org/model-4bit --adapter-path "$HERE/out" --save-path fused
python eval.py --model fused > scores.txt
mlx_lm.lora -c "$3" --train --model org/model --data other
mlx_lm.evaluate --model fused --tasks mmlu $TASKS
