"""The verb train: what stands around the trainer of mlx_lm.lora."""

from runner.verbs.own import alone

command = alone("train", "Train with mlx_lm.lora, and choose which weights to keep.", wraps=True)
