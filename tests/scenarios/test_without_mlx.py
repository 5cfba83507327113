"""In an environment that has no MLX everything but running works."""

import subprocess
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

# The rooms that start a tool or ask about one; others may not import MLX,
# which tests/test_architecture.py holds them to.
NEAR = ("cli", "command", "runs", "testing", "tools", "worker")
WHOLE = ("test_golden.py", "test_library.py", "test_recipes.py", "test_traps.py")
ROOT = Path(__file__).parent.parent.parent
LEFT_OUT = (
    "mlx",
    "transformers",
    "tokenizers",
    "huggingface",
    "numpy",
    "safetensors",
    "sentencepiece",
)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A Python with all that is installed here but MLX and what comes with it."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    here = Path(pytest.__file__).parent.parent
    for entry in here.iterdir():
        if not entry.name.lower().startswith(LEFT_OUT) and not (packages / entry.name).exists():
            (packages / entry.name).symlink_to(entry)
    if not (packages / "runner").exists():
        (packages / "here.pth").write_text(f"{ROOT}\n", encoding="utf-8")
    return folder / "bin" / "python"


def call(python, *words):
    return subprocess.run(
        [python, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_mlx_is_not_there(bare):
    for module in ("mlx", "mlx_lm", "transformers"):
        assert call(bare, "-c", f"import {module}").returncode == 1


def test_the_fast_tests_pass(bare):
    places = [f"tests/{name}" for name in (*NEAR, *WHOLE)]
    done = call(bare, "-m", "pytest", "-m", "not slow", "-q", *places)
    assert done.returncode == 0, done.stdout[-3000:]


def test_running_says_what_is_missing_and_makes_nothing(bare, tmp_path):
    done = call(bare, "-m", "runner", "recipes/basic.yaml", "--smoke", "--runs", tmp_path / "runs")
    assert done.returncode == 5
    assert "mlx, which is not installed here" in done.stderr
    assert "pip install" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert not (tmp_path / "runs").exists()
