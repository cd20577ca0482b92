"""The command line from a map to its certificate, better demonstrations, and other maps."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import toys
from commands import run
from small_studies import NO_NEED, STUDY

import r2rise
from r2rise import Certificate, Comparison, Curation, Demonstrations, Ledger, Transfer
from r2rise.ask.certify import REPETITIONS
from r2rise.results.edits import Edits

TRUTH = toys.frame_values(80).reshape(8, 10).sum(axis=1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with `a`, explained, and the study it is from."""
    folder = tmp_path_factory.mktemp("finished")
    toys.demonstrations().save(folder / "demos.npz")
    (folder / "study.yaml").write_text(STUDY)
    (folder / "double.yaml").write_text(STUDY.replace("toys:Additive", "small_studies:Double"))
    for name, study in (("a", "study.yaml"), ("b", "double.yaml")):
        run(f"explain {folder}/demos.npz --study {folder}/{study} --out {folder}/{name}")
    return folder


@pytest.fixture
def folder(finished, tmp_path, monkeypatch) -> Path:
    """A copy of `finished` to work in."""
    for path in finished.rglob("*"):
        copy = tmp_path / path.relative_to(finished)
        copy.mkdir() if path.is_dir() else copy.write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def what_was_done(ledger: str) -> dict:
    """The work in a ledger, with the time that each retraining took."""
    kinds = ("design", "baseline", "random_policy", "certify", "curate", "confirm")
    held = Ledger.load(ledger)
    return {record.key: record.seconds for kind in kinds for record in held.records(kind)}


def test_certify_says_how_top_random_and_bottom_do(folder):
    out, _ = run("certify a")
    found = Certificate.load("a")
    sizes = np.array([1, 2, 4, 6, 7])
    ordered = np.sort(TRUTH)[::-1]
    apart = [ordered[:k].sum() - ordered[-k:].sum() for k in sizes]
    area = sum((x + y) / 2 * (j - i) for (i, j), (x, y) in zip(
        pairwise(sizes), pairwise(apart), strict=True)) / 6  # fmt: skip
    assert found.area_top_bottom.mean == pytest.approx(area)  # a repetition's seeds are shared
    text = in_one_line(out)
    assert f"Top above bottom: {area:.4g} ({area:.4g} to {area:.4g})" in text
    assert f"Top above random, mean over these levels: {found.area_top_random}" in text
    assert f"Random above bottom: {found.area_random_bottom}" in text
    assert f"p = {found.luck_p:.4f}" in text
    assert f"Leaving out the bottom helps: {found.leaving_out_bottom}" in text
    assert f"Keeping only the top suffices: {found.keeping_top}" in text
    assert "2 (25%)" in text
    assert str(found.levels[1].top).partition(" ")[0] in text
    assert found.in_words() in text
    assert found.outcome == "pass"
    assert found.n_retrainings == REPETITIONS * 4 * len(sizes)


def test_certifying_again_retrains_nothing(folder):
    run("certify a --repetitions 3")
    first, certificate = what_was_done("a/ledger.npz"), Certificate.load("a")
    run("certify a --repetitions 3")
    assert what_was_done("a/ledger.npz") == first
    again = Certificate.load("a")
    assert again.model_copy(update={"created_at": certificate.created_at}) == certificate
    # more repetitions extend it, and the map stays what it was
    run("certify a --repetitions 4")
    assert first.items() < what_was_done("a/ledger.npz").items()
    before = r2rise.ImportanceMap.load("a").importance
    run("explain demos.npz --study study.yaml --out a")
    assert r2rise.ImportanceMap.load("a").importance.tolist() == before.tolist()


@pytest.mark.slow
def test_check_fails_where_the_map_does_not_pass(folder):
    run("certify a --check")
    out, _ = run("certify a --repetitions 2 --check", status=1)
    assert Certificate.load("a").outcome == "undecided"
    assert "Undecided:" in out
    run("certify a --repetitions 2")


def test_curate_writes_better_demonstrations_and_why(folder):
    out, _ = run("curate a --out new/better.npz")
    hurting = np.flatnonzero(TRUTH < 0)
    gain = -TRUTH[hurting].sum()
    assert Curation.load("a").confirmation.gain.mean == pytest.approx(gain)
    assert f"a difference of {gain:.4g} ({gain:.4g} to {gain:.4g})" in in_one_line(out)
    assert "Written: new/better.npz, new/better.edits.json." in out
    better, whole = Demonstrations.load("new/better.npz"), toys.demonstrations()
    kept = np.setdiff1d(np.arange(80), [10 * s + i for s in hurting for i in range(10)])
    np.testing.assert_array_equal(better.acts[:, 0], kept)
    edits = Edits.load("new/better.edits.json")
    assert (edits.dataset, edits.unit) == (whole.content_hash, "episode_return")
    assert [(e.demonstration, e.start, e.stop) for e in edits.edits] == [
        (s // 4, s % 4 * 10, s % 4 * 10 + 10) for s in hurting.tolist()
    ]
    assert all(e.reason.startswith("hurts: importance -") for e in edits.edits)
    assert json.loads(Path("new/better.edits.json").read_text())["schema"] == "r2rise.edits"


def test_nothing_is_written_without_a_gain(folder):
    Path("good.yaml").write_text(NO_NEED)
    run("explain demos.npz --study good.yaml --out good")
    for option in ("", " --without-gain"):
        out, _ = run(f"curate good --out better.npz{option}")
        assert "No gain: no segment seems to hurt" in out
        assert "better.npz is not written: there is nothing to leave out." in out
    assert Curation.load("good").outcome == "no_gain"
    assert not list(Path().glob("better*"))


def test_what_was_not_confirmed_is_written_when_asked_for(folder):
    """With this seed a drop looks good to the seeds that choose it, and to no others."""
    Path("fickle.yaml").write_text(STUDY.replace("toys:Additive", "small_studies:Fickle"))
    run("explain demos.npz --study fickle.yaml --seed 1 --out fickle")
    out, _ = run("curate fickle --out better.npz")
    found = Curation.load("fickle")
    assert found.outcome == "no_gain"
    assert found.edits
    assert (
        "better.npz is not written: no gain was confirmed. To write it anyway, give --without-gain"
        in out
    )
    assert not list(Path().glob("better*"))
    run("curate fickle --out better.npz --without-gain")
    n_cut = sum(edit.stop - edit.start for edit in found.edits)
    assert Demonstrations.load("better.npz").n_frames == 80 - n_cut
    assert Edits.load("better.edits.json").edits == found.edits


def test_transfer_prints_and_keeps_the_matrix(folder):
    out, _ = run("transfer a b --repetitions 3")
    found = Transfer.load("a")
    assert found.names == ("a", "b")
    assert "map of a" in out
    assert "map of b" in out
    for cell in found.cells:
        against = cell.certificate.baseline
        area = cell.certificate.area_top_bottom.mean
        share = area / (against.all_frames.mean - against.random_policy.mean)
        lower, upper = cell.share_interval
        assert f"{share:.2f} ({lower:.2f} to {upper:.2f}) undecided" in in_one_line(out)
    areas = [cell.certificate.area_top_bottom.mean for cell in found.cells]
    # both maps rank alike, and to the second learner everything is worth twice as much
    np.testing.assert_allclose(areas, np.array([1, 1, 2, 2]) * areas[0])
    # each learner's own work is in its own ledger
    assert {len(Ledger.load(f"{name}/ledger.npz").records("certify")) for name in "ab"} == {60}
    run("transfer a b --repetitions 3 --out kept/t.json")
    again = Transfer.load("kept/t.json")
    assert [cell.share for cell in again.cells] == [cell.share for cell in found.cells]


def test_directories_of_one_name_are_told_apart(folder):
    Path("other").mkdir()
    Path("b").rename("other/a")
    run("transfer a other/a --repetitions 2 --out t.json")
    assert Transfer.load("t.json").names == (f"{folder}/a", f"{folder}/other/a")


def test_compare_says_where_two_maps_differ(folder):
    out, _ = run("compare a b --top 3 --out new/c.json")
    found = Comparison.load("new/c.json")
    np.testing.assert_allclose(found.difference.difference, -TRUTH)
    spearman = found.spearman
    assert f"Spearman: {spearman.value:.3f} ({spearman.lower:.3f} to {spearman.upper:.3f})" in out
    assert "Spearman without the maps' noise: 1.000 (1.000 to 1.000)" in out
    assert "Top 3 in common: 100% (by chance 38%, p = 0.0179)" in out  # 1 of 56 triples of 8
    assert "8 segments in both maps: a and b" in out
    assert "Importance in a: 3 segments more, 5 less, 0 unresolved" in out
    assert "Largest differences, a less b" in out
    assert found.names == ("a", "b")
    table = out[out.index("verdict") :]
    shown = [f"{-TRUTH[i]:+.3f}" for i in np.argsort(-np.abs(TRUTH))]
    places = [table.index(number) for number in shown[:5]]
    assert places == sorted(places)
    assert shown[5] not in table
    assert "more in a" in table
    run("compare a b")
    assert not list(Path("a").glob("comparison*"))


def test_compare_says_what_cannot_be_told(folder):
    run("explain demos.npz --study study.yaml --estimator rise --out a")
    out, _ = run("compare a b")
    assert "none are given, since the maps have no unit in common" in out
    Path("same.yaml").write_text(STUDY.replace("toys:Additive", "small_studies:Same"))
    run("explain demos.npz --study same.yaml --out same")
    out, _ = run("compare b same")
    assert "Spearman: unknown, a map is constant" in out
    assert "Spearman without the maps' noise: unknown" in out


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("certify a --repetitions 2", "a/certificate.json"),
        ("curate a --out better.npz", "a/curation.json"),
        ("transfer a b --repetitions 2", "a/transfer.json"),
        ("compare a b --out c.json", "c.json"),
    ],
)
def test_json_alone_on_standard_output(folder, command, file):
    out, err = run(f"{command} --json")
    assert out == Path(file).read_text()
    assert json.loads(out)["schema"].startswith("r2rise.")
    assert ("Written: better.npz" in err) == command.startswith("curate")
