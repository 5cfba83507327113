"""Where outputs are made and what becomes of what was there: on a disk, without MLX."""

import json
import shutil

import pytest

from runner.plan.model import Stage
from runner.runs.manifest import StageRecord
from runner.runs.outputs import Places

RUN = "${RUN_DIR}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "run"
    (made / "train").mkdir(parents=True)
    return made


def of(folder, path):
    return Places(
        folder, Stage(name="train", tool="mlx_lm.lora", params={}, outputs={"adapter_path": path})
    )


def make(path, text="weights"):
    path.mkdir(parents=True)
    (path / "a.safetensors").write_text(text)
    return path


def test_nothing_stands_at_its_place_before_it_is_settled(folder):
    places = of(folder, f"{RUN}/train/adapters")
    assert places.open() == {f"{RUN}/train/adapters": f"{RUN}/train/.part/adapters"}
    make(folder / "train" / ".part" / "adapters")
    prints = places.prints()
    assert not (folder / "train" / "adapters").exists()
    places.settle()
    places.settle()
    assert (folder / "train" / "adapters" / "a.safetensors").read_text() == "weights"
    assert not (folder / "train" / ".part").exists()
    assert places.prints() == prints


def test_a_new_start_finds_nothing_of_the_one_before_unless_it_goes_on(folder):
    places = of(folder, f"{RUN}/train/adapters")
    places.open()
    made = make(folder / "train" / ".part" / "adapters")
    places.open(keep=True)
    assert made.exists()
    places.open()
    assert not made.exists()


def test_texts_name_the_final_place_and_weights_stay_as_they_are(folder):
    places = of(folder, f"{RUN}/train/adäpters")
    places.open()
    part = folder / "train" / ".part" / "adäpters"
    make(part, str(part))
    config = part / "adapter_config.json"
    config.write_text(json.dumps({"adapter_path": str(part), "n": 1}, indent=4))
    config.chmod(0o640)
    (part / "README.md").write_text(f"from {part}/x")
    places.correct()
    final = folder / "train" / "adäpters"
    assert config.read_text() == json.dumps({"adapter_path": str(final), "n": 1}, indent=4)
    assert config.stat().st_mode & 0o777 == 0o640
    assert (part / "README.md").read_text() == f"from {final}/x"
    assert (part / "a.safetensors").read_text() == str(part)


def test_what_a_run_made_before_is_kept_once(folder):
    places = of(folder, f"{RUN}/train/adapters")
    for text in ("first", "second", "third"):
        make(folder / "train" / "adapters", text)
        places.clear(StageRecord(name="train"))
        assert not (folder / "train" / "adapters").exists()
    kept = [path.read_text() for path in folder.rglob("*.safetensors")]
    assert kept == ["third"]


def test_the_users_own_folder_is_worked_in_and_never_moved(folder, tmp_path):
    mine = make(tmp_path / "mine", "by hand")
    places = of(folder, "mine")
    places.clear(StageRecord(name="train", prints={str(mine): {}}))
    assert places.open() == {}
    places.settle()
    assert (mine / "a.safetensors").read_text() == "by hand"


def test_an_output_outside_that_the_run_itself_made_makes_room(folder, tmp_path):
    places = of(folder, "mine")
    assert places.open() == {"mine": ".mine.part"}
    make(tmp_path / ".mine.part")
    record = StageRecord(name="train", prints=places.prints())
    places.settle()
    assert (tmp_path / "mine" / "a.safetensors").exists()
    places.clear(record)
    assert places.open() == {"mine": ".mine.part"}
    assert (tmp_path / ".mine.replaced" / "a.safetensors").exists()


def test_one_that_the_user_changed_since_is_the_users(folder, tmp_path):
    places = of(folder, "mine")
    places.open()
    make(tmp_path / ".mine.part")
    record = StageRecord(name="train", prints=places.prints())
    places.settle()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    places.clear(record)
    assert places.open() == {}
    assert (tmp_path / "mine" / "notes.txt").exists()


@pytest.mark.parametrize("kind", ["empty folder", "link"])
def test_an_empty_folder_is_taken_and_a_link_is_followed(folder, tmp_path, kind):
    if kind == "link":
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "mine").symlink_to("elsewhere")
    else:
        (tmp_path / "mine").mkdir()
    opened = of(folder, "mine").open()
    assert bool(opened) == (kind == "empty folder")


def test_what_is_made_and_not_moved_yet_is_found_where_it_is(folder):
    places = of(folder, f"{RUN}/train/adapters")
    places.open()
    part = make(folder / "train" / ".part" / "adapters")
    final = str(folder / "train" / "adapters")
    assert places.now(final) == part
    places.settle()
    assert str(places.now(final)) == final
    shutil.rmtree(final)
    assert str(places.now(final)) == final
