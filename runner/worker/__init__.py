"""Inside the process of a tool: ``python -m runner.worker RUN_DIR STAGE``.

It calls the tool's own main, watches, and changes nothing; train/ stands around mlx-lm's trainer.
Only it and tools import MLX. Imports base to runs. Read host.py first.
"""
