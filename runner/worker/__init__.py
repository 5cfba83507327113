"""Code inside the process of a tool: ``python -m runner.worker RUN_DIR STAGE``.

It calls the tool's own main, observes it, and changes nothing; train/ wraps mlx-lm's trainer. Only
this room and tools import MLX. Imports base to runs. Read host.py first.
"""
