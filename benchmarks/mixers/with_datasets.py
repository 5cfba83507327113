"""With Hugging Face datasets: load, check, select, concatenate, shuffle, write."""

import sys
import tempfile

import datasets

ROLES = {"system", "user", "assistant", "tool"}


def sound(batch):
    for messages in batch["messages"]:
        assert all(m["role"] in ROLES and m["content"].strip() for m in messages)
        assert any(m["role"] == "assistant" for m in messages)


primary, replay, out = sys.argv[1:]
datasets.disable_progress_bars()
with tempfile.TemporaryDirectory() as cache:
    ours, theirs = (
        datasets.load_dataset("json", data_files=path, split="train", cache_dir=cache)
        for path in (primary, replay)
    )
    for rows in (ours, theirs):
        rows.map(sound, batched=True)
    drawn = theirs.shuffle(seed=1).select(range(round(len(ours) * 0.15 / 0.85)))
    mixed = datasets.concatenate_datasets([ours, drawn]).shuffle(seed=1)
    mixed.to_json(out, lines=True, force_ascii=False)
