"""What changes under profiles that nobody named: reviewers trust "nothing changes"."""

import json

import pytest

from tests.diff.test_diff import ONE, commit, write

PROFILES = """\
profiles:
  laptop: {stages: {train: {params: {batch_size: 1}}}}
  short: {stages: {train: {params: {iters: 5}}}}
"""


@pytest.fixture
def profiles(repository):
    write("recipes/one.yaml", ONE + PROFILES)
    commit("profiles")
    return repository


def reviews(out):
    """Return the values that change, by recipe and profiles."""
    return {
        (one["recipe"], *one["profiles"]): [
            (value["name"], value.get("old"), value.get("new")) for value in one["values"]
        ]
        for one in json.loads(out)["recipes"]
    }


def test_a_change_under_one_profile_is_a_change(profiles, diff):
    write("recipes/one.yaml", ONE + PROFILES.replace("batch_size: 1", "batch_size: 4"))
    code, out, _ = diff("recipes", "--check")
    assert code == 3
    assert "batch_size  1 -> 4  <- recipes/one.yaml:8" in out
    assert "  recipes/one.yaml --profile laptop: train\n" in out
    assert out.endswith("1 of 3 recipes changes: 1 stage, 1 value\n")
    found = reviews(diff("recipes", "--format", "json")[1])
    assert found["recipes/one.yaml",] == []
    assert found["recipes/one.yaml", "laptop"] == [("batch_size", 1, 4)]


def test_what_changes_alike_under_all_profiles_is_said_once(profiles, diff):
    write("recipes/one.yaml", (ONE + PROFILES).replace("data: d", "data: e"))
    out = diff("recipes/one.yaml", "HEAD")[1]
    assert out.count("d -> e") + out.count('"d" -> "e"') == 1
    assert "recipes/one.yaml (also --profile laptop or short): " in out


def test_a_profile_that_overrules_a_change_is_named(profiles, diff):
    write("recipes/one.yaml", (ONE + PROFILES).replace("iters: 100", "iters: 200"))
    out = diff("recipes/one.yaml", "HEAD")[1]
    assert "  recipes/one.yaml (also --profile laptop): train\n" in out
    assert "recipes/one.yaml --profile short\n  not as without a profile: train.iters" in out


def test_a_profile_that_is_gone_or_not_valid_is_told(profiles, diff):
    write(
        "recipes/one.yaml",
        ONE
        + PROFILES.splitlines(keepends=True)[0]
        + "  short: {stages: {train: {params: {iters: x}}}}\n",
    )
    code, out, _ = diff("recipes", "--check")
    assert code == 2
    assert "recipes/one.yaml --profile laptop: gone since HEAD" in out
    assert "recipes/one.yaml --profile short: not valid, so not compared" in out


def test_a_named_profile_is_the_only_one(profiles, diff):
    write("recipes/one.yaml", ONE + PROFILES.replace("batch_size: 1", "batch_size: 4"))
    assert diff("recipes/one.yaml", "HEAD", "--profile", "short", "--check")[0] == 0
    assert diff("recipes/one.yaml", "HEAD", "--profile", "laptop", "--check")[0] == 3


def test_nothing_changes_says_that_profiles_were_looked_at(profiles, diff):
    write("recipes/one.yaml", ONE + PROFILES + "# a comment\n")
    code, out, _ = diff("recipes", "--check")
    assert (code, out) == (
        0,
        "no MLX parameters change in 3 recipes, with or without their profiles\n",
    )


def test_a_value_may_be_laid_over_the_new_side_only(profiles, diff):
    words = ("recipes/one.yaml", "HEAD", "--profile", "laptop")
    _, out, err = diff(*words, "--set", "stages.train.params.seed=7")
    assert "no MLX parameters change" in out
    assert "--set applies to both sides; --set-now applies to the new side only" in err
    out = diff(*words, "--set-now", "stages.train.params.seed=7")[1]
    assert "seed  0 -> 7  <- --set" in out


def test_markdown_says_once_what_changes_in_many(profiles, diff):
    write("recipes/one.yaml", ONE + PROFILES.replace("batch_size: 1", "batch_size: 4"))
    out = diff("recipes", "--format", "markdown")[1]
    assert out.count("`1 -> 4`") == 1
    assert "`recipes/one.yaml --profile laptop: train`" in out


def test_more_profiles_than_are_compared_are_refused(profiles, diff):
    many = [f"  p{n}: {{stages: {{train: {{params: {{seed: {n}}}}}}}}}\n" for n in range(200)]
    write("recipes/one.yaml", ONE + "profiles:\n" + "".join(many))
    code, _, err = diff("recipes/one.yaml", "HEAD")
    assert code == 2
    assert "hint: name those to compare: run-recipe diff RECIPE --profile NAME" in err
    assert diff("recipes/one.yaml", "HEAD", "--profile", "p7")[0] == 0
