"""The places in the source that advise a command or a value are counted: all of them are followed.

A place is followed where a case of the other tests here prints it, or where FOLLOWED names a test.
"""

import re
from pathlib import Path

import imports
import pytest
import rows
import suites
from cases import CASES, FURTHER, text
from following import PURE, STATED
from following_rows import PROSE as PURE_OF_ROWS
from sites import HOLE, advice, pattern, to_follow
from situations import told as typed
from test_catalogue import CATALOG
from test_followed_machine import told as of_machines
from test_followed_recipes import RECIPES, write_beside
from test_followed_recipes import told as of_recipes
from test_followed_rules import told
from test_followed_tools import CASES as TOOLS
from test_followed_tools import run
from test_golden import GOLDEN
from test_hints import Case

# Advice of which no case prints its words here, and the test that follows it.
FOLLOWED = {
    "set … instead": "test_a_trainer_whose_rows_nobody_can_count_has_no_budget",
    "name those to compare: run-recipe diff RECIPE --profile NAME": (
        "test_more_profiles_than_are_compared_are_refused"
    ),
    "to print every value without its line: run-recipe … -n --format json": "test_more_values_than_are_followed_are_refused_and_printed_without_their_lines",
    "the script is locked without its plan, which would show more: --snapshot-update writes it": "test_what_a_lock_advises_is_done",
    "python3 -m pip install pyarrow && python3 -c '…' {source} > {target}": "test_a_table_is_written_as_rows",
    "… and …: run-recipe diff shows them all.": "test_a_comment_is_never_longer_than_github_takes",
    "get its tokenizer first: hf download …… …": "test_a_tokenizer_that_is_downloaded_writes_the_rows",
    "remove system_prompt and write it into the prompts": "test_a_system_prompt_that_is_written_into_the_prompts_is_taken",
    "free some space, choose another --runs, or raise save_every": "test_a_disk_without_room_is_left_or_less_is_written",
    "check its permissions: ls -ld …": "test_a_file_that_may_not_be_read_is_shown_by_the_command",
    "rename lora_layers to num_layers": "test_a_key_that_was_renamed_is_read",
    "write quantization as {group_size: …, bits: …}, or convert it again": "test_a_quantization_that_is_written_is_read",
    "write scale: for a PEFT adapter it is alpha / rank": "test_a_scale_that_is_written_is_read",
    "copy a checkpoint to its own folder, as adapters.safetensors next to its adapter_config.json": "test_a_checkpoint_that_is_copied_to_a_folder_of_its_own_is_an_adapter",
    "put the … of its training next to it": "test_a_configuration_that_is_put_beside_an_adapter_is_read",
    "change …": "test_what_a_failure_tells_to_change_holds_wherever_the_value_is_said",
    "try: …": "test_the_command_that_a_failed_training_prints_makes_it_train",
    "then resume with --resume: finished stages are kept": "test_a_disk_that_is_full_lets_go_on_where_it_has_room",
    "pip install 'mlx[cpu]' mlx-lm (or 'mlx[cuda]' with an NVIDIA GPU)": "test_the_packages_that_are_named_are_there_to_be_installed",
    "if intended, run --snapshot-update and review the diff before you commit it": "test_what_a_lock_advises_is_done",
    "…: nothing is locked yet: review the commands, then run --snapshot-update": "test_what_a_lock_advises_is_done",
    "--recipes needs syrupy, which stores the snapshots: pip install 'run-recipe[test]'": "test_the_packages_that_are_named_are_there_to_be_installed",
    "snapshots are not updated in CI (the variable … is set): run --snapshot-update on your machine, review the diff, and commit it": "test_what_a_lock_advises_is_done",
    "hf download … --local-dir …": "test_what_is_published_is_used_as_its_card_says",
    'mlx_lm.generate --model … --adapter-path … --prompt "…"': "test_what_is_published_is_used_as_its_card_says",
    'mlx_lm.generate --model … --prompt "…"': "test_what_is_published_is_used_as_its_card_says",
    "dry run: nothing was uploaded; to upload, use --no-dry-run, or dry_run: false in a recipe": "test_what_is_published_is_used_as_its_card_says",
    "the hub's client cannot be used: …; pip install huggingface_hub": "test_the_packages_that_are_named_are_there_to_be_installed",
    "convert the base with dtype: float32 first": "test_a_base_in_float32_keeps_what_its_first_type_rounds_away",
    "set dequantize: true, and quantize the fused model in its own stage": "test_an_adapter_that_fusing_erases",
    "run-recipe doctor shows how the installation differs": "test_what_doctor_says_of_an_installation_can_be_asked",
}
TOOLS_OF_RECIPES = {
    "use lowercase letters, digits and '_'": "test_what_is_advised_of_a_tool_is_taken",
    "write tools: {mine.score: tools/score.json}": "test_what_is_advised_of_a_tool_is_taken",
    "correct its file: run-recipe tools --draft PROGRAM prints what its parser accepts": "test_a_parser_that_reads_otherwise_is_told_and_its_draft_is_right",
    "name MODULE:MAIN, an installed command, or a script that uses argparse or click": "test_a_draft_is_made_of_each_that_is_advised",
    "review its file under 'tools:', then run with --trust-tools, which is remembered": "test_a_check_stops_it_at_its_parser",
    "review the files under 'tools:', then run with --trust-tools, which is remembered": "test_a_run_asks_first_and_remembers_the_very_file",
    "put it on the PATH, or write its path into the tool's file": "test_a_program_that_is_not_here_is_told_before_the_run",
}
FOLLOWED |= TOOLS_OF_RECIPES
FOLLOWED |= {
    "for one recipe: run-recipe show RECIPE": "test_a_refusal_of_a_folder_names_what_works",
    "name a recipe of it, or leave out …": "test_a_refusal_of_a_folder_names_what_works",
}
FOLLOWED |= {
    "give '…' a local_dir, and download it once:": "test_data_that_is_downloaded_into_the_run_is_missing_and_said_to_be",
    "run-recipe … --only …": "test_data_that_is_downloaded_into_the_run_is_missing_and_said_to_be",
}
FOLLOWED |= {
    "reused from … (…); --fresh … it again": "test_a_fresh_run_takes_nothing",
    "… has finished and stays as it is: --set starts a new run": "test_a_finished_run_that_is_resumed_with_a_change_stays_as_it_is",
    "add --keep N, --older 30d or --failed": "test_what_a_refusal_to_prune_advises_is_done",
    "write 30d, 12h or 90m": "test_what_a_refusal_to_prune_advises_is_done",
    "runs prune removes old runs, runs du shows what they take: see their --help.": "test_what_a_refusal_to_prune_advises_is_done",
    "remove --name": "test_a_name_that_no_run_can_have_is_refused",
    "use letters, digits and _, at most 40": "test_a_name_that_no_run_can_have_is_refused",
}
FOLLOWED |= {
    "leave out --check or --update": "test_a_check_that_would_write_is_refused",
    "write run-recipe lock RECIPE": "test_a_check_that_would_write_is_refused",
    "restore it from git, or delete it and lock the recipe again: run-recipe lock RECIPE": "test_a_lock_that_cannot_be_read_says_how_to_make_it_anew",
    "if the cache is damaged, delete … and run again; if the hub serves another file, look at it, then: run-recipe lock RECIPE --update": "test_a_file_that_is_not_the_locked_one_is_refused_and_what_is_advised_helps",
    "accept its terms on its page of the hub, and log in: hf auth login": "test_what_the_hub_does_not_show_is_shown_to_who_is_logged_in",
    "correct the name; a private one needs a login: hf auth login": "test_what_the_hub_does_not_show_is_shown_to_who_is_logged_in",
    "fetch it: run-recipe lock …": "test_a_base_elsewhere_is_fetched_once_pinned_and_read_offline",
    "renew the lock: run-recipe lock RECIPE --update": "test_a_server_that_moves_on_changes_nothing_before_the_lock_is_renewed",
    "name a folder in RUN_RECIPE_CACHE, or unset it": "test_without_a_cache_it_is_said_what_it_is_for",
    "try what git says: git ls-remote": "test_what_git_says_of_a_server_is_said_with_the_command_to_try",
    "write stages.STAGE.metrics.METRIC, as an expectation reads it": "test_runs_are_listed_with_what_was_asked_and_named_by_a_few_letters",
    "write one of them out: …": "test_runs_are_listed_with_what_was_asked_and_named_by_a_few_letters",
    "pip install huggingface_hub": "test_the_packages_that_are_named_are_there_to_be_installed",
    "try again later, or check HF_ENDPOINT and the network": "test_a_hub_that_is_gone_changes_no_lock_and_is_asked_again",
}
# What reads as advice and is none, with why.
NONE = {
    "(also --profile …)": "the profiles under which the very same changes",
    "run-recipe train": "the title of a schema",
    "--format … prints to stdout; --open and --output are for a page": "a refusal; its options are named",
    "set here: …": "a note beside a line",
    "These files are not part of a run-recipe run, so their recipe and measurements are unknown.": "the text of a model card",
    "Run declarative recipes for Apple's MLX: run-recipe RECIPE.": "the summary of the help",
    "-h, --help": "a line of the help",
    "run folder: … (run.json, commands.sh, each stage's log.txt)": "where the files of a run are",
    "with --profile …": "a note that says under which profiles a problem is there",
    "of --dry-run would not find …; runs do not need it": "what doctor found; its hint is followed",
}
HINT = "    hint: "


def printed():
    """Return every hint that the followed cases print."""
    outs = (GOLDEN / "bad").glob("*.out")
    lines = (line for out in outs for line in out.read_text(encoding="utf-8").splitlines())
    found = {line.removeprefix(HINT) for line in lines if line.startswith(HINT)}
    for one in (*CASES.values(), *(one for _, one in FURTHER.values())):
        found |= {problem.hint for problem in told(Case("r.yaml", text(one.bad)), one.known)}
    for one in RECIPES.values():
        write_beside(one)
        found |= {problem.hint for problem in of_recipes(one)}
    found |= typed() | of_machines()
    for name in CATALOG.names:
        found |= {*CATALOG.get(name).schema.get("x-not", {}).values()}
    for work in (*rows.ROWS.values(), *rows.PROMPTS.values()):
        found |= {problem.hint for problem in rows.look(work)}
    for suite in suites.SUITES.values():
        found |= {problem.hint for problem in suites.look(suite)}
    for script in imports.SCRIPTS.values():
        found |= {problem.hint for problem in imports.write(script).problems}
    found |= {imports.refused(source) for source in imports.REFUSED}
    return found | {run(tool, said, words) for tool, said, words, _ in TOOLS.values()}


def places():
    """Yield the file and the words of each place that advises a command or a value."""
    for file, said in advice():
        if to_follow(said):
            yield file, " ".join(said.replace(HOLE, "…").split()), pattern(said)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the followed cases print, found once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("printed"))
        return printed()


@pytest.mark.slow
def test_all_advice_of_a_command_or_a_value_is_followed(seen):
    left = {
        f"{file}: {words}"
        for file, words, printed_so in places()
        if not (words in FOLLOWED or words in NONE or any(map(printed_so.search, seen)))
    }
    assert left == set(), "\n".join(sorted(left))


def test_what_the_tests_call_prose_holds_neither_a_command_nor_a_value(seen):
    """But for what STATED says why of; and nothing is stated that no case prints."""
    stated = [re.compile(one) for group in STATED.values() for one in group]
    prose = {hint for hint in seen if any(one.fullmatch(hint) for one in (*PURE, *PURE_OF_ROWS))}
    assert {hint for hint in prose if to_follow(hint)} == set()
    assert [one.pattern for one in stated if not any(map(one.fullmatch, seen))] == []


@pytest.mark.slow
def test_what_is_followed_elsewhere_is_there_and_so_is_its_test():
    known = {words for _, words, _ in places()}
    assert known >= FOLLOWED.keys() | NONE.keys()
    files = Path(__file__).parents[1].rglob("test_*.py")
    tests = {
        name
        for file in files
        for name in re.findall(r"(?m)^def (test_\w+)", file.read_text("utf-8"))
    }
    assert tests >= set(FOLLOWED.values())


def test_a_command_or_a_value_is_told_from_prose():
    """The rule that says what has to be followed, on words of each kind."""
    typed = (
        "run: run-recipe check r.yaml",
        "write 5",
        "set keep: best",
        "raise save_every",
        "pip install x",
    )
    prose = (
        "train it again",
        "add rows, or delete the file",
        "free some space",
        "that run-recipe knows",
    )
    assert [to_follow(one) for one in (*typed, *prose)] == [True] * 5 + [False] * 4
