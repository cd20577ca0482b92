"""Certificates, curations, transfer and comparisons through client and commands, from a server."""

import json
import re
from dataclasses import replace

import pytest
from places import CARTPOLE
from served import LONG
from servers import run

import r2rise
from r2rise_service.client import Conflict, JobCanceled, NotFound, Refused

SMALL = {
    "environment": "CartPole-v1",
    "algorithm": {"name": "bc", "settings": {"n_updates": 50}},
    "masking": {"segment_length": 50},
    "evaluation": {"n_episodes": 4, "max_steps": 200},
    "budget": {"retrainings": 64, "baseline_retrainings": 2},
}
OTHER = {**SMALL, "algorithm": {"name": "bc", "settings": {"n_updates": 30}}}


@pytest.fixture(scope="module")
def demonstrations():
    """Half of the segments show the opposite of what the expert did: without them it is faster."""
    whole = r2rise.Demonstrations.load(CARTPOLE)
    acts = whole.acts.copy()
    for segment in (1, 3, 4, 7, 8):
        acts[50 * segment : 50 * segment + 50] ^= 1
    return replace(whole, acts=acts)


@pytest.fixture(scope="module")
def explained(client, demonstrations, tmp_path_factory):
    """Two jobs with maps over the same segments."""
    path = tmp_path_factory.mktemp("demos") / "demos.npz"
    demonstrations.save(path)
    dataset = client.datasets.upload(path)
    jobs = [client.jobs.create(dataset, study=study) for study in (SMALL, OTHER)]
    return [job.wait(timeout=300) for job in jobs]


@pytest.fixture(scope="module")
def certified(client, explained):
    job = client.jobs.certify(explained[0], repetitions=2, name="is it?", labels={"for": "a test"})
    return job.wait(timeout=300)


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def test_a_certificate_is_the_librarys(explained, certified, demonstrations, tmp_path):
    info = certified.info
    assert (certified.kind, info.name, info.labels) == ("certify", "is it?", {"for": "a test"})
    assert (info.based_on, info.repetitions) == ((explained[0].id,), 2)
    found = certified.certificate()
    assert certified.result() == found
    want = r2rise.certify(demonstrations, explained[0].importance(), repetitions=2)
    assert (found.levels, found.luck_p, found.outcome) == (want.levels, want.luck_p, want.outcome)
    assert len(list(certified.retrainings())) == found.n_retrainings
    path = certified.download(tmp_path / "certificate.json")
    assert r2rise.Certificate.load(path) == found
    assert certified.download(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in certified.download(tmp_path / "a.svg").read_text()


def test_a_curation_gives_better_demonstrations(client, explained, demonstrations, tmp_path):
    job = client.jobs.curate(explained[0]).wait(timeout=300)
    found = job.curation()
    assert job.result() == found
    want = r2rise.curate(demonstrations, explained[0].importance())
    assert (found.trials, found.edits, found.outcome) == (want.trials, want.edits, want.outcome)
    assert r2rise.Curation.load(job.download(tmp_path / "curation.json")) == found
    assert (found.outcome, len(found.edits)) == ("trains_faster", 4)
    better = r2rise.Demonstrations.load(job.download(tmp_path / "better.npz"))
    assert better.content_hash == want.apply(demonstrations).content_hash


def test_transfer_between_two_jobs(client, explained, tmp_path):
    job = client.jobs.transfer(explained, repetitions=2).wait(timeout=300)
    assert job.info.based_on == tuple(one.id for one in explained)
    found = job.transfer()
    assert job.result() == found
    assert len(found.names) == 2
    parts = [list(job.retrainings(part=part)) for part in (0, 1)]
    assert all(part and part[0].kind == "certify" for part in parts)
    ledger = r2rise.Ledger.load(job.ledger(tmp_path / "ledger.npz", part=1))
    assert len(ledger.records("certify")) == len(parts[1])
    assert r2rise.Transfer.load(job.download(tmp_path / "transfer.json")) == found


def test_a_comparison_is_the_librarys_and_can_be_had_again(client, explained):
    first, second = explained
    made = client.comparisons.create(first, second.id)
    assert (made.a, made.b) == (first.id, second.id)
    want = r2rise.compare(first.importance(), second.importance())
    assert made.comparison.spearman == want.spearman
    assert made.comparison.difference == want.difference
    assert client.comparisons.get(made.id) == made
    with pytest.raises(NotFound):
        client.comparisons.get("cmp_none")


def test_reports_are_pages(explained, certified, tmp_path):
    for job in (explained[0], certified):
        page = job.download(tmp_path / f"{job.kind}.html").read_text()
        assert page.startswith("<!DOCTYPE html>")


def test_what_other_kinds_are_refused_for(client, explained, certified):
    with pytest.raises(Refused, match="job_none") as refused:
        client.jobs.certify("job_none")
    assert refused.value.problem.errors[0].pointer.startswith("#/based_on")
    with pytest.raises(Refused, match="expected a job of the kind explain"):
        client.jobs.curate(certified)
    with pytest.raises(Refused, match="based_on"):
        client.jobs.transfer([explained[0]])
    with pytest.raises(NotFound):
        explained[0].certificate()
    with pytest.raises(NotFound):
        certified.importance()
    live = client.jobs.create(client.datasets.upload(CARTPOLE), study=LONG)
    with pytest.raises(Conflict) as caught:
        client.jobs.certify(live)
    assert caught.value.code == "not-finished"
    live.cancel()
    with pytest.raises(JobCanceled):
        live.wait(timeout=60)
    longer = {**SMALL, "masking": {"segment_length": 100}, "seed": 1}
    other = client.jobs.create(explained[0].info.dataset_id, study=longer).wait(timeout=300)
    with pytest.raises(Refused) as refused:
        client.comparisons.create(explained[0], other)
    assert refused.value.code == "not-comparable"


@pytest.mark.slow
def test_the_commands_ask_for_all_kinds(server, explained, tmp_path):
    def ask(*command: str) -> str:
        return run("jobs", *command, "--url", server.url)[0]

    first, second = (job.id for job in explained)
    named = ("--name", "n", "--label", "robot=arm", "--priority", "3")
    job = ask("certify", first, "--repetitions", "2", *named).strip()
    info = json.loads(ask("wait", job, "--timeout", "5m", "--json"))
    assert (info["kind"], info["name"], info["labels"]) == ("certify", "n", {"robot": "arm"})
    shown = in_one_line(ask("show", job))
    assert shown.startswith(f"{job} succeeded")
    assert "Return of bc after training on some of the segments" in shown
    assert "Could luck do that?" in shown

    job = ask("curate", first).strip()
    assert re.search(r"\d+ of \d+ retrainings", ask("watch", job))
    assert "Leaving out what hurts most: returns of bc" in in_one_line(ask("show", job))
    ask("download", job, "--out", str(tmp_path / "better.npz"))
    assert len(r2rise.Demonstrations.load(tmp_path / "better.npz")) > 0

    job = json.loads(ask("transfer", first, second, "--repetitions", "2", "--json"))["id"]
    assert "as a share of what all frames gain" in in_one_line(ask("wait", job))
    ask("download", job, "--out", str(tmp_path / "report.html"))

    out = tmp_path / "comparison.json"
    compared = in_one_line(ask("compare", first, second, "--out", str(out)))
    assert re.search(r"segments in both maps: .*Spearman: ", compared)
    found = r2rise.Comparison.load(out)
    assert (
        json.loads(ask("compare", first, second, "--json"))["top"]
        == json.loads(found.to_json())["top"]
    )
    ask("compare", first, second, "--out", str(tmp_path / "comparison.png"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["certify", "job_none"], "job_none"),
        (["certify", "FIRST", "--repetitions", "1"], "repetitions"),
        (["transfer", "FIRST"], "based_on"),
        (["compare", "FIRST", "job_none"], "job_none"),
        (["compare", "FIRST", "FIRST", "--out", "a.pdf"], "a.pdf"),
        (["curate", "CERTIFIED"], "of the kind explain"),
        (["compare", "FIRST", "CERTIFIED"], "CERTIFIED"),
        (["download", "CERTIFIED", "--out", "a.csv"], "not as 'a.csv'"),
    ],
)
def test_wrong_input_is_explained(
    server, explained, certified, tmp_path, monkeypatch, command, message
):
    monkeypatch.chdir(tmp_path)
    given = {"FIRST": explained[0].id, "CERTIFIED": certified.id}
    out, err = run("jobs", *(given.get(w, w) for w in command), "--url", server.url, status=2)
    assert out == ""
    assert given.get(message, message) in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
