"""Files that earlier versions wrote: ledgers go on, results are read, servers keep their jobs."""

import json
import lzma
import shutil
from pathlib import Path

import numpy as np
import pytest
from api_helpers import Server
from make_golden import RESULTS
from places import DATA

import r2rise
from r2rise import Budget, Demonstrations, ImportanceMap, Ledger, Study
from r2rise.design.seeds import Kind
from r2rise.errors import LedgerError
from r2rise.ledger.ledger import journal_path
from r2rise.results.result import Result
from r2rise_service.models import JobInfo

OLD = DATA / "old"
DEMONSTRATIONS = Demonstrations.load(OLD / "demonstrations.npz")
VERSIONS = ("60c09f0", "86d63e9")
BY_SCHEMA = {result.model_fields["schema_"].default: result for result in RESULTS}
KINDS: tuple[Kind, ...] = ("random_policy", "baseline", "design", "certify", "curate", "confirm")

EACH = pytest.mark.parametrize("version", VERSIONS)


def saved_results() -> list[Path]:
    """Every result that a version saved: in the folders of commits, and golden files."""
    return sorted([*OLD.rglob("*.json"), *DATA.glob("*-1.*.json")])


def fields_of(path: Path) -> dict:
    return json.loads(path.read_text())


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    shutil.copy(OLD / "demonstrations.npz", to)
    return to


def plain(ledger: Ledger) -> dict[tuple, dict]:
    return {record.key: record.to_json() for kind in KINDS for record in ledger.records(kind)}


def returns(ledger: Ledger, kind: Kind) -> list[list[float]]:
    return [record.returns.tolist() for record in ledger.records(kind)]


def check_importance(found: object, folder: Path) -> None:
    """Check that a map is the one that an old version saved; machines differ in the last bits."""
    old = fields_of(folder / "map.json")["importance"]
    np.testing.assert_allclose(np.asarray(found, dtype=float), old, rtol=1e-9, atol=1e-9)


def same_values(ours, theirs) -> bool:
    """Say whether all that was saved is what was read; fields of later versions are no matter."""
    if isinstance(theirs, dict):
        return all(name in ours and same_values(ours[name], theirs[name]) for name in theirs)
    if isinstance(theirs, list):
        pairs = zip(ours, theirs, strict=True)
        return all(same_values(*pair) for pair in pairs)
    return ours == theirs


@pytest.mark.parametrize("path", saved_results(), ids=lambda path: str(path.relative_to(DATA)))
def test_every_saved_result_is_read_with_all_that_it_holds(path):
    fields = fields_of(path)
    result: type[Result] = BY_SCHEMA[fields["schema"]]
    read = json.loads(result.load(path).to_json())
    assert same_values(read, fields)


@EACH
def test_an_old_ledger_gives_the_old_map(version):
    folder = OLD / version / "explained"
    ledger, study = Ledger.load(folder / "ledger.npz"), Study.load(folder / "study.yaml")
    old = ImportanceMap.load(folder)
    for asked in (study, old.study):
        found = r2rise.importance_map(ledger, asked)
        check_importance(found.importance, folder)
        assert found.design_hash == ledger.header.design_hash
    assert study.design_hash == old.study.design_hash


def test_the_oldest_hashes_are_todays():
    folder = OLD / "60c09f0" / "explained"
    ledger = Ledger.load(folder / "ledger.npz")
    assert fields_of(folder / "map.json")["design_hash"] == ledger.header.design_hash


@EACH
def test_an_old_ledger_is_extended_by_its_own_study(version, tmp_path):
    out = copied(OLD / version / "explained", tmp_path / "out")
    before = plain(Ledger.load(out / "ledger.npz"))
    study = Study.load(out / "study.yaml")
    study = study.model_copy(update={"budget": Budget(retrainings=64, baseline_retrainings=3)})
    r2rise.explain(DEMONSTRATIONS, study, out=out)
    extended = Ledger.load(out / "ledger.npz")
    after = plain(extended)
    assert {key: after[key] for key in before} == before
    assert len(after) == len(before) + 32

    r2rise.explain(DEMONSTRATIONS, study, ledger=tmp_path / "fresh.npz")
    fresh = Ledger.load(tmp_path / "fresh.npz")
    same = [
        one == other
        for kind in ("random_policy", "baseline", "design")
        for one, other in zip(returns(extended, kind), returns(fresh, kind), strict=True)
    ]
    assert all(same[-32:])
    assert np.mean(same) > 0.8  # all of them on the processor that the old ledger was made on


@EACH
@pytest.mark.imitation
def test_an_old_ledger_with_a_journal_goes_on(version, tmp_path):
    out = copied(OLD / version / "cut_off", tmp_path / "out")
    before = plain(Ledger.load(out / "ledger.npz"))
    assert journal_path(out / "ledger.npz").exists()
    assert 5 < len(before) < 36
    r2rise.explain(DEMONSTRATIONS, Study.load(out / "study.yaml"), out=out)
    after = plain(Ledger.load(out / "ledger.npz"))
    assert {key: after[key] for key in before} == before
    assert len(after) == 1 + 3 + 32


OPEN = {
    "environment": "CartPole-v1",
    "evaluation": {"n_episodes": 3, "max_steps": 60},
    "training": {"check_seeds": 3, "check_doublings": 2},
    "budget": {"retrainings": 32, "baseline_retrainings": 3},
    "seed": 3,
}
"""The question as it was asked, without what was filled in."""


@pytest.mark.parametrize("version", ["86d63e9"])
def test_the_question_goes_on_as_it_was_asked(version, tmp_path):
    out = copied(OLD / version / "explained", tmp_path / "out")
    before = (out / "training.npz").read_bytes()
    again = r2rise.explain(DEMONSTRATIONS, Study.parse(OPEN), out=out)
    assert (
        again.importance.tolist()
        == fields_of(OLD / version / "explained" / "map.json")["importance"]
    )
    assert again.study.training.curve.chosen == again.study.algorithm.settings["n_updates"] == 100
    assert (out / "training.npz").read_bytes() == before


@pytest.mark.parametrize(
    "algorithm", ["bc", {"name": "bc", "settings": {"n_updates": 100}}], ids=["open", "named"]
)
@pytest.mark.parametrize("kept_in", ["out", "ledger"])
def test_a_ledger_of_ten_epochs_is_never_extended_by_fixed_updates(algorithm, kept_in, tmp_path):
    out = copied(OLD / "60c09f0" / "explained", tmp_path / "out")
    where = {"out": out, "ledger": out / "ledger.npz"}[kept_in]
    before = (out / "ledger.npz").read_bytes()
    study = Study.parse(OPEN | {"algorithm": algorithm})
    with pytest.raises(LedgerError) as caught:
        r2rise.explain(DEMONSTRATIONS, study, **{kept_in: where})
    assert "algorithm.settings.n_epochs: the ledger has 10, but this study has None" in str(
        caught.value
    )
    assert "average_last" not in str(caught.value)
    assert "training_seeds" not in str(caught.value)
    assert (out / "ledger.npz").read_bytes() == before


def test_ten_epochs_go_on_where_they_are_asked_for(tmp_path):
    out = copied(OLD / "60c09f0" / "explained", tmp_path / "out")
    before = plain(Ledger.load(out / "ledger.npz"))
    ten = {"algorithm": {"name": "bc", "settings": {"n_epochs": 10, "device": "cpu"}}}
    found = r2rise.explain(DEMONSTRATIONS, Study.parse(OPEN | ten), out=out)
    assert plain(Ledger.load(out / "ledger.npz")) == before
    check_importance(found.importance, OLD / "60c09f0" / "explained")


@pytest.mark.parametrize(
    "changes",
    [
        {"masking": {"segment_length": 10, "training_seeds": "pair"}},
        {"masking": {"segment_length": 10, "frame_stack": 4}},
        {"evaluation": {"n_episodes": 3, "max_steps": 60, "reuse_environments": False}},
        {"algorithm": {"name": "bc", "settings": {"n_epochs": 10, "average_last": 0.5}}},
    ],
    ids=["training_seeds", "frame_stack", "reuse_environments", "average_last"],
)
def test_another_value_of_an_added_field_is_another_design(changes, tmp_path, request):
    out = copied(OLD / "60c09f0" / "explained", tmp_path / "out")
    ten = {"algorithm": {"name": "bc", "settings": {"n_epochs": 10, "device": "cpu"}}}
    name = request.node.callspec.id
    with pytest.raises(LedgerError, match=rf"{name}: the ledger has .*, but this study has"):
        r2rise.explain(DEMONSTRATIONS, Study.parse(OPEN | ten | changes), out=out)


def test_a_ledger_of_an_algorithm_that_it_cannot_identify_is_refused_saying_why(tmp_path):
    folder = OLD / "60c09f0" / "own_algorithm"
    demonstrations = Demonstrations.load(folder / "demonstrations.npz")
    shutil.copytree(folder, tmp_path / "out")
    path = tmp_path / "out" / "ledger.npz"
    before = path.read_bytes()
    study = Study.load(folder / "study.yaml")
    with pytest.raises(LedgerError) as caught:
        r2rise.explain(demonstrations, study, ledger=path)
    words = "the ledger does not record which code of yours it was made with"
    lines = str(caught.value).splitlines()[1:-1]
    assert lines == [f"  algorithm: {words}", f"  environment: {words}"]
    assert path.read_bytes() == before
    check_importance(r2rise.importance_map(Ledger.load(path), study).importance, folder)


@EACH
def test_an_old_map_is_certified_in_its_own_ledger(version, tmp_path):
    out = copied(OLD / version / "explained", tmp_path / "out")
    ledger = Ledger.load(out / "ledger.npz")
    found = r2rise.certify(
        DEMONSTRATIONS, ImportanceMap.load(out), repetitions=2, ledger=out / "ledger.npz"
    )
    assert found.map_study_hash == fields_of(out / "map.json")["study_hash"]
    after = plain(Ledger.load(out / "ledger.npz"))
    assert plain(ledger).items() <= after.items()


# what a server kept


@pytest.fixture(params=["60c09f0", "86d63e9"])
def old_server(request, tmp_path):
    """A server of today on the database and the files of an old one, and the old folder."""
    packed = (OLD / request.param / "server.sqlite.xz").read_bytes()
    (tmp_path / "r2rise.sqlite").write_bytes(lzma.decompress(packed))
    upload = shutil.copy(OLD / "demonstrations.npz", tmp_path / "upload.npz")
    server = Server(tmp_path)
    server.files.keep(Path(upload), DEMONSTRATIONS.content_hash)
    with server.client:
        yield server, OLD / request.param
    server.store.close()


def jobs_of(server: Server) -> dict[str, JobInfo]:
    answer = server.client.get("/jobs").json()
    found = [JobInfo.model_validate(job) for job in answer["data"]]
    return {job.name or job.kind: job for job in found}


def ledger_of(server: Server, job: JobInfo) -> Ledger:
    """All records of a job, as they are downloaded."""
    answer = server.client.get(f"/jobs/{job.id}/retrainings", params={"format": "npz"})
    path = server.settings.data / f"{job.id}.npz"
    path.write_bytes(answer.content)
    return Ledger.load(path)


def test_a_server_keeps_the_jobs_of_an_older_one(old_server):
    server, folder = old_server
    jobs = jobs_of(server)
    assert {name: (job.kind, job.status) for name, job in jobs.items()} == {
        "one": ("explain", "succeeded"),
        "certify": ("certify", "succeeded"),
        "cut off": ("explain", "running"),
    }
    importance = server.client.get(f"/jobs/{jobs['one'].id}/importance.json")
    check_importance(importance.json()["importance"], folder / "explained")  # the same study
    assert jobs["one"].study.design_hash == Study.load(folder / "explained/study.yaml").design_hash
    certificate = server.client.get(f"/jobs/{jobs['certify'].id}/certificate.json").json()
    certified = fields_of(folder / "explained" / "certificate.json")
    assert same_values(certificate["levels"], certified["levels"])
    assert server.client.get(f"/jobs/{jobs['one'].id}/report").status_code == 200
    ledger = ledger_of(server, jobs["one"])
    assert ledger.header.design_hash == jobs["one"].study.design_hash
    assert len(ledger.records("design")) == 32


@pytest.mark.imitation
def test_a_server_goes_on_with_a_job_of_an_older_one(old_server):
    server, _ = old_server
    job = jobs_of(server)["cut off"]
    before = plain(ledger_of(server, job))
    assert server.done(job.id).status == "succeeded"
    after = plain(ledger_of(server, job))
    assert {key: after[key] for key in before} == before
    found = server.client.get(f"/jobs/{job.id}/importance.json").json()
    assert np.isfinite(found["importance"]).all()
