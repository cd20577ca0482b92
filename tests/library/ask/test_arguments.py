"""What the analyses accept: objects, paths, dicts; and what they say of anything else."""

import dataclasses

import numpy as np
import pytest
import worth
from places import ROOT

import r2rise
from r2rise import ImportanceMap
from r2rise.errors import InputError, MapError, StudyError

WORTH = (5.0, -3.0, 1.0, 2.5, 6.0, -1.0)
DEMONSTRATIONS = worth.demonstrations(len(WORTH))
STUDY = worth.study(WORTH)


@pytest.fixture(scope="module")
def importance() -> ImportanceMap:
    return worth.explained(WORTH)


@pytest.fixture
def files(importance, tmp_path):
    """Paths of the demonstrations and of the map, as text and as `Path`."""
    DEMONSTRATIONS.save(tmp_path / "demos.npz")
    importance.save(tmp_path / "map.json")
    return str(tmp_path / "demos.npz"), tmp_path


def test_paths_give_what_the_objects_give(files, importance):
    demos, folder = files
    pairs = [
        (
            r2rise.certify(demos, folder, repetitions=2),
            r2rise.certify(DEMONSTRATIONS, importance, repetitions=2),
        ),
        (r2rise.curate(demos, folder / "map.json"), r2rise.curate(DEMONSTRATIONS, importance)),
        (r2rise.compare(str(folder), importance), r2rise.compare(importance, importance)),
        (
            r2rise.transfer(demos, {"a": folder, "b": importance}, repetitions=2),
            r2rise.transfer(DEMONSTRATIONS, {"a": importance, "b": importance}, repetitions=2),
        ),
    ]
    for by_path, by_object in pairs:
        assert worth.without_time(by_path) == worth.without_time(by_object)
    assert r2rise.plan(demos, STUDY).variance == r2rise.plan(DEMONSTRATIONS, STUDY).variance


def test_the_check_of_training_reads_a_file(tmp_path):
    DEMONSTRATIONS.save(tmp_path / "demos.npz")
    with pytest.raises(StudyError, match="does not say how it counts its training"):
        r2rise.check_training(tmp_path / "demos.npz", STUDY)


def test_a_dict_is_a_study():
    fields = {"environment": "CartPole-v1", "budget": 64, "algorithm": {"name": "bcc"}}
    with pytest.raises(InputError, match="'bcc'"):
        r2rise.explain(r2rise.load_example("cartpole"), fields)
    with pytest.raises(StudyError, match="budgt: unknown field. Did you mean 'budget'?"):
        r2rise.explain(DEMONSTRATIONS, {"environment": "CartPole-v1", "budgt": 64})


REFUSED = {
    "explain with an id for the study": (
        lambda demos, found: r2rise.explain(demos, "CartPole-v1"),
        r"study should be a Study or a dict .* got 'CartPole-v1'. Give Study\(environment=",
    ),
    "plan without a study": (
        lambda demos, found: r2rise.plan(demos, None),
        "study should be a Study or a dict of its fields, got NoneType",
    ),
    "check_training with a map": (
        lambda demos, found: r2rise.check_training(found, STUDY),
        "demonstrations should be Demonstrations or the path of a file, got ImportanceMap",
    ),
    "explain a list": (
        lambda demos, found: r2rise.explain([demos.obs], STUDY),
        "got list. Episodes in memory become demonstrations with Demonstrations.from_episodes",
    ),
    "certify with its arguments swapped": (
        lambda demos, found: r2rise.certify(found, demos),
        "importance_map should be .* got Demonstrations.* Demonstrations come before the map",
    ),
    "curate with a number": (
        lambda demos, found: r2rise.curate(demos, 3.5),
        "importance_map should be an ImportanceMap or the path of one, got 3.5",
    ),
    "compare with demonstrations": (
        lambda demos, found: r2rise.compare(found, demos),
        "b should be an ImportanceMap or the path of one, got Demonstrations",
    ),
    "transfer with a study": (
        lambda demos, found: r2rise.transfer(demos, {"a": found, "b": STUDY}),
        r"maps\['b'\] should be an ImportanceMap or the path of one, got Study",
    ),
    "transfer with a list": (
        lambda demos, found: r2rise.transfer(demos, [found, found]),
        "maps should be a dict of maps by name, such as .*, got list",
    ),
    "drop a number": (
        lambda demos, found: demos.select(drop=[3]),
        "Expected segments or rows of a map, got 3",
    ),
    "a number for the directory": (
        lambda demos, found: r2rise.explain(demos, STUDY, out=5),
        "out should be the path of a directory, got 5",
    ),
    "an empty directory for a plan": (
        lambda demos, found: r2rise.plan(demos, STUDY, out=""),
        r"out is empty: name a directory; '\.' is the working directory",
    ),
    "an empty ledger": (
        lambda demos, found: r2rise.explain(demos, STUDY, ledger=""),
        "ledger is empty: name a file",
    ),
    "a number for the ledger": (
        lambda demos, found: r2rise.explain(demos, STUDY, ledger=5),
        "ledger should be the path of a file, got 5",
    ),
    "a directory for the ledger": (
        lambda demos, found: r2rise.certify(demos, found, ledger=ROOT),
        "ledger should be a file, but .* is a directory",
    ),
    "a number for a ledger of a transfer": (
        lambda demos, found: r2rise.transfer(demos, {"a": found, "b": found}, ledgers={"b": 5}),
        "ledger should be the path of a file, got 5",
    ),
    "a check of training with an empty ledger": (
        lambda demos, found: r2rise.check_training(demos, STUDY, ledger=""),
        "ledger is empty: name a file",
    ),
    "a report of a map": (
        lambda demos, found: r2rise.write_report(found),
        "directory should be the path of a directory, got <ImportanceMap",
    ),
    "no segments to compare": (
        lambda demos, found: r2rise.compare(found, found, k=0),
        "k should be a whole number of at least 1, got 0",
    ),
    "fewer workers than none": (
        lambda demos, found: r2rise.explain(demos, STUDY, workers=-1),
        r"workers should be a whole number from 0 to \d+, got -1",
    ),
    "half a worker": (
        lambda demos, found: r2rise.certify(demos, found, workers=0.5),
        r"workers should be a whole number from 0 to \d+, got 0.5",
    ),
    "negative repetitions": (
        lambda demos, found: r2rise.certify(demos, found, repetitions=-3),
        "repetitions should be a whole number from 2 to 10000, got -3",
    ),
    "a plan for no retrainings": (
        lambda demos, found: r2rise.plan(demos, STUDY, max_retrainings=0),
        "max_retrainings should be a whole number from 1 to 1000000, got 0",
    ),
    "a number for the engine": (
        lambda demos, found: r2rise.explain(demos, STUDY, engine=3),
        "engine should have the methods of r2rise.Engine, got int: .* give workers",
    ),
    "a number for the progress": (
        lambda demos, found: r2rise.certify(demos, found, progress=5),
        "progress should be True, False or a function, got 5",
    ),
    "a word for a flag of a plan": (
        lambda demos, found: r2rise.plan(demos, STUDY, maps="no"),
        "maps should be True or False, got 'no'",
    ),
    "a word for a flag of a check of training": (
        lambda demos, found: r2rise.check_training(demos, STUDY, maps="no"),
        "maps should be True or False, got 'no'",
    ),
    "one name for two maps": (
        lambda demos, found: r2rise.compare(found, found, names=("bc",)),
        r"names should be two texts, such as .*, got \('bc',\)",
    ),
    "a text for two names": (
        lambda demos, found: r2rise.compare(found, found, names="ab"),
        "names should be two texts, such as .*, got 'ab'",
    ),
    "a ledger of no map": (
        lambda demos, found: r2rise.transfer(
            demos, {"bc": found, "bco": found}, ledgers={"bcp": "ledger.npz"}
        ),
        "ledgers has no map of the name 'bcp'. Did you mean 'bc",
    ),
    "a path for a ledger in memory": (
        lambda demos, found: r2rise.importance_map("ledger.npz", STUDY),
        r"ledger should be a Ledger, got str: Ledger.load\(path\) reads one",
    ),
    "axes that are a number": (
        lambda demos, found: found.plot(3),
        "axes should be axes of matplotlib, got int",
    ),
    "a segment of words": (
        lambda demos, found: demos.select(drop=[r2rise.Segment("a", None, 3.5)]),
        "Expected segments or rows of a map, got Segment",
    ),
    "a mask of other demonstrations": (
        lambda demos, found: demos.transitions(np.ones(3, bool)),
        f"kept should be an array of {DEMONSTRATIONS.n_frames} bool, .* got bool of shape",
    ),
    "indices for a mask": (
        lambda demos, found: demos.trainable(np.arange(demos.n_frames)),
        "kept should be an array of .* bool, one for each frame, got int64",
    ),
    "a number for a file": (
        lambda demos, found: r2rise.Demonstrations.load(5),
        "path should be the path of a file, got 5",
    ),
    "a directory for a file": (
        lambda demos, found: demos.save(ROOT),
        "path should be a file, but .* is a directory",
    ),
    "no policy": (
        lambda demos, found: r2rise.record("CartPole-v1", None, n_demonstrations=1),
        "policy should be an object with a method predict.*, got NoneType",
    ),
    "an expert in a file of demonstrations": (
        lambda demos, found: r2rise.train_expert("CartPole-v1", "demos.npz", steps=10),
        "out should end in .zip, got demos.npz",
    ),
    "a number for the environment": (
        lambda demos, found: r2rise.record(3, "random", n_demonstrations=1),
        "environment: expected an id such as 'CartPole-v1'.*got int",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_says_what_to_give(what, importance):
    ask, message = REFUSED[what]
    with pytest.raises(InputError, match=message):
        ask(DEMONSTRATIONS, importance)


def test_keys_and_least_frames_of_a_file_are_checked(files):
    demos, folder = files
    for wrong in (-3, "3"):
        with pytest.raises(InputError, match=f"min_frames should be .* 1, got {wrong!r}"):
            r2rise.convert(demos, folder / "out.csv", min_frames=wrong)
    with pytest.raises(InputError, match="obs_keys should be a list of keys"):
        r2rise.convert(demos, folder / "out.csv", obs_keys="goal")
    assert not (folder / "out.csv").exists()


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(InputError, match="meta should be a dict of what JSON holds"):
        dataclasses.replace(DEMONSTRATIONS, meta={"robot": object()})


def test_a_misspelt_name_gets_a_suggestion():
    with pytest.raises(AttributeError) as caught:
        r2rise.expalin  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("expalin", r2rise)


def test_numbers_of_numpy_are_numbers(importance):
    assert r2rise.compare(importance, importance, k=np.int64(2)).k == 2


def test_a_path_without_a_map_is_named(tmp_path):
    with pytest.raises(MapError, match="Cannot read the importance map .*nothing"):
        r2rise.compare(tmp_path / "nothing", tmp_path / "nothing")


def test_the_rows_of_a_map_are_segments_to_drop(importance):
    by_rows = DEMONSTRATIONS.select(drop=importance.bottom(2))
    by_segments = DEMONSTRATIONS.select(drop=[row.segment for row in importance.bottom(2)])
    assert by_rows.content_hash == by_segments.content_hash
    kept = DEMONSTRATIONS.select(keep=importance.top(2))
    assert kept.n_frames == 2 * worth.FRAMES
