"""Layers in, one recipe out, with who said what."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.recipe.load import Overrides, load
from runner.recipe.merge import merge, settle
from runner.recipe.node import Node
from runner.recipe.yaml import parse


def node(text, file="f"):
    document = parse(text, file)
    assert document.problems == []
    return document.root


def merged(*texts):
    """Return the plain values of texts laid over each other, the last on top."""
    tree = node(texts[0])
    for text in texts[1:]:
        tree = merge(tree, node(text))
    problems = []
    return settle(tree, problems).plain(), [problem.rule for problem in problems]


@pytest.mark.parametrize(
    "below, above, result",
    [
        ("{a: 1}", "{b: 2}", {"a": 1, "b": 2}),
        ("{a: 1}", "{a: 2}", {"a": 2}),
        ("{a: {b: 1, c: 2}}", "{a: {c: 3}}", {"a": {"b": 1, "c": 3}}),
        ("{a: [1, 2]}", "{a: [3]}", {"a": [3]}),
        ("{a: {b: 1}}", "{a: 5}", {"a": 5}),
        ("{a: 5}", "{a: {b: 1}}", {"a": {"b": 1}}),
        ("{a: 5}", "{a: null}", {"a": None}),
        ("{a: {b: 1}}", "{a: {}}", {"a": {"b": 1}}),
        ("{a: 1, b: 2}", "{a: !reset }", {"b": 2}),
        ("{a: {b: 1, c: 2}}", "{a: {b: !reset }}", {"a": {"c": 2}}),
        ("{a: {b: 1, c: 2}}", "{a: !override {d: 3}}", {"a": {"d": 3}}),
        ("{a: {b: 1}}", "{a: !override {}}", {"a": {}}),
    ],
)
def test_mappings_merge_deep_and_everything_else_is_replaced(below, above, result):
    assert merged(below, above) == (result, [])


def test_a_value_can_be_said_again_after_a_reset():
    assert merged("{a: {b: 1, c: 2}}", "{a: !reset }", "{a: {b: 3}}") == ({"a": {"b": 3}}, [])


def test_a_reset_that_removes_nothing_is_told():
    assert merged("{a: 1}", "{b: !reset }") == ({"a": 1}, ["reset-nothing"])
    assert merged("{b: !reset }") == ({}, ["reset-nothing"])


def test_an_override_hides_even_what_is_deep_below_it():
    below = "{a: {b: {c: 1, d: 2}, e: 3}}"
    assert merged(below, "{a: {b: !override {c: 9}}}") == ({"a": {"b": {"c": 9}, "e": 3}}, [])


def test_what_is_laid_on_an_override_joins_it_and_still_hides_what_is_below():
    above = merge(node("{a: !override {c: 2}}"), node("{a: {d: 3}}"))
    assert merge(node("{a: {b: 1}}"), above).plain() == {"a": {"c": 2, "d": 3}}


def test_a_mapping_said_again_after_a_reset_hides_what_is_below():
    above = merge(node("{a: !reset }"), node("{a: {d: 3}}"))
    assert merge(node("{a: {b: 1}}"), above).plain() == {"a": {"d": 3}}


def test_the_order_of_keys_is_that_of_the_lowest_layer():
    result, _ = merged("{b: 1, a: 2}", "{c: 3, a: 4}")
    assert list(result) == ["b", "a", "c"]


def test_a_value_names_every_loser_the_nearest_first():
    tree = node("a: 1", "one")
    for file, text in (("two", "a: 2"), ("three", "a: {x: 3}"), ("four", "a: 4")):
        tree = merge(tree, node(text, file))
    top = tree.get("a")
    assert top.file == "four"
    assert [loser.file for loser in top.losers()] == ["three", "two", "one"]


def test_a_layer_of_layers_keeps_its_own_losers_before_those_below():
    upper = merge(node("a: 2", "two"), node("a: 3", "three"))
    lower = merge(node("a: 0", "zero"), node("a: 1", "one"))
    assert [loser.file for loser in merge(lower, upper).get("a").losers()] == ["two", "one", "zero"]


def test_merging_leaves_both_layers_as_they_were():
    below, above = node("{a: {b: 1}}"), node("{a: {c: 2}}")
    merge(below, above)
    assert (below.plain(), above.plain()) == ({"a": {"b": 1}}, {"a": {"c": 2}})


def files(**texts):
    """Return a reader of these texts: ``base__lora`` is base/lora.yaml."""
    known = {f"{name.replace('__', '/')}.yaml": text for name, text in texts.items()}
    asked = []

    def read(file):
        asked.append(file)
        try:
            return known[file].encode()
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory") from None

    read.asked = asked
    return read


def folded(read, **overrides):
    loaded = load("top.yaml", read, Overrides(**overrides))
    assert [problem.message for problem in loaded.problems] == []
    return loaded.recipe


def told(read, **overrides):
    return [problem.rule for problem in load("top.yaml", read, Overrides(**overrides)).problems]


def test_parents_are_laid_left_to_right_and_the_file_itself_on_top():
    read = files(
        top="extends: [one.yaml, two.yaml]\nvars: {c: 3}",
        one="vars: {a: 1, b: 1, c: 1}",
        two="vars: {b: 2, c: 2}",
    )
    assert folded(read).tree.plain() == {"vars": {"a": 1, "b": 2, "c": 3}}


def test_a_parent_is_named_relative_to_the_file_that_names_it():
    read = files(
        top="extends: base/lora.yaml\nvars: {a: 1}",
        base__lora="extends: ../more/all.yaml",
        more__all="vars: {b: 2}",
    )
    assert folded(read).tree.plain() == {"vars": {"b": 2, "a": 1}}
    assert read.asked == ["top.yaml", "base/lora.yaml", "more/all.yaml"]


def test_a_parent_named_twice_is_read_once():
    read = files(top="extends: [a.yaml, b.yaml]", a="extends: c.yaml", b="extends: c.yaml", c="{}")
    folded(read)
    assert read.asked.count("c.yaml") == 1


def test_a_parent_of_several_is_laid_once_below_the_first_that_needs_it():
    read = files(
        top="extends: [left.yaml, right.yaml]",
        left="extends: base.yaml\nvars: {a: 2}",
        right="extends: base.yaml",
        base="vars: {a: 1}",
    )
    assert folded(read).tree.plain() == {"vars": {"a": 2}}


def test_extends_is_not_part_of_what_it_makes():
    read = files(top="extends: a.yaml\nvars: {x: 1}", a="extends: b.yaml", b="vars: {y: 2}")
    assert "extends" not in folded(read).tree.value


def test_a_builtin_recipe_is_found_with_and_without_its_ending():
    asked = []

    def read(file):
        asked.append(file)
        return b"extends: builtin:base/lora" if file == "top.yaml" else b"vars: {}"

    load("top.yaml", read)
    assert asked == ["top.yaml", "builtin:base/lora.yaml"]


def test_a_builtin_recipe_finds_its_own_parents_among_the_builtin():
    texts = {
        "top.yaml": b"extends: builtin:base/lora.yaml",
        "builtin:base/lora.yaml": b"extends: ../all.yaml",
        "builtin:all.yaml": b"vars: {a: 1}",
    }
    assert load("top.yaml", texts.__getitem__).recipe.tree.plain() == {"vars": {"a": 1}}


def test_the_trail_of_a_file_names_the_places_that_led_to_it():
    read = files(top="extends: a.yaml", a="\nextends: b.yaml", b="{}")
    trail = folded(read).trail["b.yaml"]
    assert [str(mark) for mark in trail] == ["a.yaml:2:10", "top.yaml:1:10"]


STAGE = "vars: {rank: 8, lora: {alpha: 1}}\nstages: {one: {params: {iters: 1}}}\n"


def test_profiles_then_the_environment_then_set_decide():
    read = files(
        top=f"{STAGE}profiles: {{p: {{vars: {{rank: 2}}}}, q: {{vars: {{rank: 3}}}}}}",
    )

    def rank(**overrides):
        return folded(read, **overrides).tree.get("vars").get("rank").value

    environ = {"RECIPE_VARS_RANK": "4"}
    assert rank() == 8
    assert rank(profiles=("p",)) == 2
    assert rank(profiles=("p", "q")) == 3
    assert rank(profiles=("q", "p")) == 2
    assert rank(profiles=("p",), environ=environ) == 4
    assert rank(profiles=("p",), environ=environ, sets=("vars.rank=5",)) == 5
    assert rank(sets=("vars.rank=5", "vars.rank=6")) == 6


@pytest.mark.parametrize("tag", ["", "!override "])
def test_a_tag_on_a_profile_is_about_the_profile_below_it(tag):
    parent = f"{STAGE}profiles: {{p: {{vars: {{rank: 2, lora: {{alpha: 3}}}}}}}}"
    read = files(top=f"extends: base.yaml\nprofiles:\n  p: {tag}{{vars: {{rank: 4}}}}", base=parent)
    tree = folded(read, profiles=("p",)).tree
    assert set(tree.value) == {"vars", "stages", "profiles"}
    assert tree.get("vars").get("rank").value == 4
    assert tree.get("vars").get("lora").get("alpha").value == (1 if tag else 3)


def test_a_profile_that_is_taken_away_is_none():
    read = files(
        top="extends: base.yaml\nprofiles:\n  p: !reset\n",
        base=f"{STAGE}profiles: {{p: {{vars: {{rank: 2}}}}, q: {{vars: {{rank: 3}}}}}}",
    )
    assert list(folded(read).tree.get("profiles").value) == ["q"]
    loaded = load("top.yaml", read, Overrides(profiles=("p",)))
    assert [problem.rule for problem in loaded.problems] == ["unknown-profile"]


@pytest.mark.parametrize(
    "said, value",
    [
        ("vars.rank=5", 5),
        ("vars.rank=1e-5", 1e-5),
        ("vars.rank=no", "no"),
        ("vars.rank=a=b", "a=b"),
        ('vars.rank="5"', "5"),
        ("vars.rank=[1, 2]", [1, 2]),
        ("vars.rank={a: 1}", {"a": 1}),
        ("vars.rank=null", None),
        ("vars.rank=''", ""),
        ("vars.rank=Reply to #12 only", "Reply to #12 only"),
        ("vars.rank=a: b", "a: b"),
        ("vars.rank=*x", "*x"),
        ("vars.rank=--- x", "--- x"),
        ("vars.rank=two\nlines", "two\nlines"),
    ],
)
def test_a_set_is_typed_as_yaml(said, value):
    assert folded(files(top=STAGE), sets=(said,)).tree.get("vars").get("rank").plain() == value


def test_a_set_reaches_into_mappings_and_keeps_the_rest():
    read = files(top="stages: {one: {params: {a: {b: 1, c: 2}}}}")
    tree = folded(read, sets=("stages.one.params.a.b=5",)).tree
    assert tree.get("stages").plain() == {"one": {"params": {"a": {"b": 5, "c": 2}}}}


def test_a_set_finds_keys_that_hold_dots():
    read = files(top="defaults: {mlx_lm.lora: {iters: 1}}")
    tree = folded(read, sets=("defaults.mlx_lm.lora.iters=5",)).tree
    assert tree.get("defaults").plain() == {"mlx_lm.lora": {"iters": 5}}


def test_a_set_may_name_a_tool_that_has_no_defaults_yet():
    tree = folded(files(top="vars: {}"), sets=("defaults.mlx_lm.lora.iters=5",)).tree
    assert tree.get("defaults").plain() == {"mlx_lm.lora": {"iters": 5}}


def test_a_value_of_several_lines_keeps_its_places():
    overrides = Overrides(environ={"RECIPE_VARS_RANK": "[1,\n 2]"}, sets=("vars.lora=[",))
    loaded = load("top.yaml", files(top=STAGE), overrides)
    second = loaded.recipe.tree.get("vars").get("rank").value[1]
    assert str(second.mark) == "environment:1:23"
    assert loaded.sources["environment"][22] == "2"
    assert [str(problem.mark) for problem in loaded.problems] == ["--set:1:13"]


def test_a_set_on_an_override_joins_it():
    read = files(top="stages: {one: {params: !override {a: 1}}}")
    tree = folded(read, sets=("stages.one.params.b=2",)).tree
    assert tree.get("stages").plain() == {"one": {"params": {"a": 1, "b": 2}}}


def test_an_override_knows_its_place_and_what_it_overrode():
    tree = folded(files(top=STAGE), sets=("vars.rank=5",)).tree
    rank = tree.get("vars").get("rank")
    assert str(rank.mark) == "--set:1:11"
    assert [str(loser.mark) for loser in rank.losers()] == ["top.yaml:1:14"]


@pytest.mark.parametrize(
    "overrides, rule",
    [
        ({"sets": ("vars.rnak=1",)}, "override-nothing"),
        ({"sets": ("stages.two.params.iters=1",)}, "override-nothing"),
        ({"sets": ("iters=1",)}, "override-nothing"),
        ({"sets": ("vars.rank",)}, "bad-override"),
        ({"sets": ("=1",)}, "bad-override"),
        ({"sets": ("vars.rank=[",)}, "yaml-syntax"),
        ({"environ": {"RECIPE_VARS_RNAK": "1"}}, "override-nothing"),
        ({"profiles": ("p",)}, "unknown-profile"),
    ],
)
def test_an_override_that_matches_nothing_is_told(overrides, rule):
    assert told(files(top=STAGE), **overrides) == [rule]


def test_other_variables_of_the_environment_are_left_alone():
    folded(files(top=STAGE), environ={"PATH": "/bin", "RECIPE": "x", "RECIPE_VARS": "y"})


@pytest.mark.parametrize(
    "texts, rule",
    [
        ({"top": "extends: a.yaml"}, "cannot-read"),
        ({"top": "extends: top.yaml"}, "extends-cycle"),
        (
            {"top": "extends: a.yaml", "a": "extends: b.yaml", "b": "extends: a.yaml"},
            "extends-cycle",
        ),
        ({"top": "extends: 3"}, "bad-extends"),
        ({"top": "extends: '{{ x }}'"}, "bad-extends"),
        ({"top": ""}, "empty-recipe"),
        ({"top": "- a"}, "not-a-mapping"),
        ({"top": "extends: a.yaml", "a": "[1"}, "yaml-syntax"),
    ],
)
def test_what_cannot_be_inherited_is_told_once(texts, rule):
    assert told(files(**texts)) == [rule]


def test_a_recipe_is_called_what_it_says_or_what_its_file_is_called():
    assert folded(files(top="{}")).name == "top"
    assert folded(files(top="name: other")).name == "other"
    read = {"a/b.c.yaml": b"{}"}.__getitem__
    assert load("a/b.c.yaml", read).recipe.name == "b.c"
    assert load("a/b.c.yaml", read).recipe.dir == str(PurePosixPath("a"))
    assert folded(files(top="{}")).dir == "."


leaves = st.none() | st.booleans() | st.integers() | st.lists(st.integers(), max_size=2)
# Below x, y and z stand values and below m and n mappings, as in files that agree with each other.
mappings = st.recursive(
    st.dictionaries(st.sampled_from("xyz"), leaves, max_size=3),
    lambda inner: st.builds(
        dict.__or__,
        st.dictionaries(st.sampled_from("xyz"), leaves, max_size=2),
        st.dictionaries(st.sampled_from("mn"), inner, max_size=2),
    ),
    max_leaves=4,
)


def tree(value, file="f"):
    if isinstance(value, dict):
        return Node(
            value={key: tree(child, file) for key, child in value.items()},
            file=file,
            line=1,
            column=1,
        )
    if isinstance(value, list):
        return Node(value=[tree(child, file) for child in value], file=file, line=1, column=1)
    return Node(value=value, file=file, line=1, column=1)


def chains(node):
    """Return, for every path, the files of its value and of its losers."""
    if isinstance(node.value, dict):
        return {
            (key, *path): chain
            for key, child in node.value.items()
            for path, chain in chains(child).items()
        }
    return {(): [node.file, *(loser.file for loser in node.losers())]}


@given(mappings, mappings, mappings)
def test_merging_plain_mappings_is_associative(one, two, three):
    a, b, c = tree(one, "a"), tree(two, "b"), tree(three, "c")
    left, right = merge(merge(a, b), c), merge(a, merge(b, c))
    assert left.plain() == right.plain()
    assert chains(left) == chains(right)


@given(mappings)
def test_an_empty_layer_changes_nothing(value):
    assert merge(tree(value), tree({})).plain() == value
    assert merge(tree({}), tree(value)).plain() == value


@given(mappings, mappings)
def test_the_upper_layer_wins_wherever_it_says_a_plain_value(below, above):
    result = chains(merge(tree(below, "below"), tree(above, "above")))
    for path in chains(tree(above)):
        assert result[path][0] == "above"


ANCHORED = """
version: 1
x-common: &common {model: m, iters: 012, say: &say }
x-ci: {empty: , number: 0123, twice: 1, twice: 2}
stages: {a: {tool: mlx_lm.lora, params: %s}}
"""


def test_keys_for_other_tools_are_no_part_of_a_recipe():
    loaded = load("r.yaml", lambda _: (ANCHORED % "{}").encode(), Overrides())
    assert loaded.problems == []
    assert list(loaded.recipe.tree.value) == ["version", "stages"]


def test_what_an_alias_uses_of_them_is_looked_at():
    loaded = load("r.yaml", lambda _: (ANCHORED % "*common").encode(), Overrides())
    assert {str(problem.mark) for problem in loaded.problems} == {"r.yaml:3:37", "r.yaml:3:42"}
    assert loaded.recipe.section("stages")["a"].get("params").get("model").value == "m"


def test_an_override_of_them_is_refused():
    loaded = load("r.yaml", lambda _: (ANCHORED % "{}").encode(), Overrides(sets=("x-ci=3",)))
    (problem,) = loaded.problems
    assert "'x-ci' is for anchors and for other tools" in problem.message
