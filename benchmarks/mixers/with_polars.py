"""With polars: read, filter, sample, concatenate, shuffle, write."""

import sys

import polars as pl

ROLES = ["system", "user", "assistant", "tool"]


def rows(path):
    found = pl.read_ndjson(path)
    fields = pl.col("messages").list
    sound = found.filter(
        fields.eval(pl.element().struct["role"].is_in(ROLES)).list.all()
        & fields.eval(pl.element().struct["content"].str.strip_chars() != "").list.all()
        & fields.eval(pl.element().struct["role"] == "assistant").list.any()
    )
    assert len(sound) == len(found)
    return found


primary, replay, out = sys.argv[1:]
ours, theirs = rows(primary), rows(replay)
drawn = theirs.sample(round(len(ours) * 0.15 / 0.85), seed=1)
pl.concat([ours, drawn]).sample(fraction=1.0, shuffle=True, seed=1).write_ndjson(out)
