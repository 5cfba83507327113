"""What is known of a machine that is fit, as doctor asks for it."""

FACTS = {
    "python": "3.12.1",
    "platform": "somewhere",
    "cores": 8,
    "packages": {"mlx": "0.32.4", "mlx-lm": "0.32.2"},
    "device": {"device": "gpu M4", "memory": 2**36},
    "install": "pip install mlx-lm",
    "compiler": "/usr/bin/c++",
    "compiles": True,
    "free_bytes": 10**11,
    "memory_bytes": 2**36,
    "hub_cache": "cache",
    "hub_cache_exists": True,
    "hub_token": True,
    "hub_offline": False,
}
