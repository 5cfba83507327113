mlx_lm.lora --train --iters 10
mlx_lm.lora --test
mlx_lm.lora --learning-rat 1e-5 --iters ten --model x --data y --train extra
mlx_lm.fuse
