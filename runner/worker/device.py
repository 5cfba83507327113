"""The device that MLX computes on, as JSON: ``python -m runner.worker.device``."""

from typing import Any

from runner.system import printer


def describe() -> dict[str, Any]:
    """Return the device MLX chose and its memory in bytes, or the error of starting it."""
    try:
        import mlx.core as mx

        info = mx.device_info()
        mx.eval(mx.zeros(1))
    except (ImportError, RuntimeError) as error:
        return {"error": str(error)}
    kind = "gpu" if mx.default_device() == mx.gpu else "cpu"
    name = info.get("device_name") or info.get("architecture") or ""
    return {"device": f"{kind} {name}".strip(), "memory": info.get("memory_size")}


if __name__ == "__main__":
    printer.show_json(describe(), indent=None)
