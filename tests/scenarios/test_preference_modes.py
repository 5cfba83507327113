"""mlx-lm-lora trains for real in each of its modes, and what the audit says of it is true."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from tests.support.modes_in_use import MODES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("mlx_lm_lora") is None, reason="needs mlx-lm-lora"),
]
# Fewer would be seen in use where an observer lost sight of what it looks at.
LEAST = 28


@pytest.fixture(scope="module")
def modes(tmp_path_factory):
    """What the audit says of each mode, and what of it is not true."""
    place = tmp_path_factory.mktemp("modes")
    environ = {**os.environ, "MLX_DISABLE_COMPILE": "1", "HF_HUB_OFFLINE": "1"}
    words = [sys.executable, "-m", "tests.support.modes_in_use", str(place)]
    done = subprocess.run(words, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_seen_in_use_changes_what_the_trainer_is_given(modes, mode):
    assert len(modes[mode]["seen"]) >= LEAST
    assert modes[mode]["without_effect"] == []


@pytest.mark.parametrize("mode", MODES)
def test_all_that_is_not_read_changes_no_weight(modes, mode):
    assert len(modes[mode]["unread"]) >= LEAST
    assert modes[mode]["same_weights"]
