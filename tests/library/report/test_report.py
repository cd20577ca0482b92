import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import learning
import numpy as np
import pytest
import worth
import yaml
from drawings import A_MAP
from typer.testing import CliRunner

import r2rise
from r2rise import Certificate, Curation, ImportanceMap, Study
from r2rise.ask.directory import OutputDirectory
from r2rise.ask.plan import plan
from r2rise.errors import MapError, ResultError
from r2rise.report.report import write_report
from r2rise.results.plan import Plan
from r2rise.results.result import Result
from r2rise.statistics.summaries import Baseline, Dataset, Quality, SegmentTable, Stopped, Verdicts
from r2rise.statistics.wording import decimals, signed
from r2rise.study.notices import Notice
from r2rise.study.parts import Prediction
from r2rise_service.cli import app

HEADINGS = [
    "How long was the policy trained?",
    "Are all frames equally important?",
    "Which frames help, which hurt?",
    "How sure can we be?",
    "What does a reliable map take?",
    "Is the map right?",
    "What should be done with the demonstrations?",
    "How do others see them?",
    "How this was made",
]
VOID = {"meta", "br", "hr", "img", "link", "input"}
STAND_ALONE = ("src", "href", "xlink:href", "action", "srcset", "data", "poster", "background")


class Page(HTMLParser):
    """A page in parts; tags have to be closed in order."""

    def __init__(self, path: Path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags, self.ids, self.references = Counter(), [], []
        self.declarations, self.text, self.headings = [], "", []
        self.answers, self.tables = [], []
        self._open = []
        self.feed(self.source)
        self.close()
        assert self._open == []

    def handle_decl(self, decl):
        self.declarations.append(decl)

    def handle_starttag(self, tag, attrs):
        self._start(tag, attrs)
        if tag not in VOID:
            self._open.append((tag, dict(attrs).get("class")))
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag == "h2":
            self.headings.append("")
        if ("class", "answer") in attrs:
            self.answers.append("")

    def handle_startendtag(self, tag, attrs):
        self._start(tag, attrs)

    def _start(self, tag, attrs):
        self.tags[tag] += 1
        for name, value in attrs:
            assert not name.startswith("on"), f"{tag} has {name}"
            if name == "id":
                self.ids.append(value)
            if name in STAND_ALONE:
                self.references.append(value)
            self.references += re.findall(r"url\(([^)]*)\)", value or "")

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        names = [name for name, _ in self._open]
        if "style" in names:
            self.references += re.findall(r"url\(([^)]*)\)", data)
            return
        self.text += data
        if "h2" in names:
            self.headings[-1] += data
        if ("p", "answer") in self._open:
            self.answers[-1] += data
        if "td" in names or "th" in names:
            self.tables[-1][-1][-1] += data.strip()

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    def answer(self, heading: str) -> str:
        return " ".join(self.answers[self.headings.index(heading)].split())

    def table(self, *columns: str) -> list[list[str]]:
        """The rows of the first table with these columns."""
        return next(rows[1:] for rows in self.tables if rows[0] == list(columns))


def page_of(folder: Path) -> Page:
    assert write_report(folder) == folder / "report.html"
    return Page(folder / "report.html")


def page_with(folder: Path, found: ImportanceMap, *others: Result) -> Page:
    output = OutputDirectory(folder)
    for result in (found, *others):
        output.write(result)
    return page_of(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A study of 50 segments with every result beside it."""
    path = tmp_path_factory.mktemp("out")
    output = OutputDirectory(path)
    demonstrations = worth.demonstrations(50, n_demos=5)
    shares = np.random.default_rng(0).normal(0, 0.15, 50)
    study = worth.changed(
        learning.study(worth=(shares - shares.mean() + 1 / 50).tolist()),
        environment={"id": "worth:Known", "kwargs": {"reward_noise": 30.0}},
        budget={"retrainings": 1024, "baseline_retrainings": 10},
    )
    proposed = plan(demonstrations, study, out=path)
    found = r2rise.explain(demonstrations, proposed.study, out=path)
    other = r2rise.explain(demonstrations, worth.changed(study, seed=1, budget=256))
    output.write(r2rise.certify(demonstrations, found, repetitions=5, ledger=output.ledger))
    output.write(r2rise.curate(demonstrations, found, ledger=output.ledger))
    output.write(r2rise.compare(found, other))
    maps = {"ours": found, "other seed": other}
    output.write(r2rise.transfer(demonstrations, maps, repetitions=3))
    return path


@pytest.fixture(scope="module")
def page(folder) -> Page:
    return page_of(folder)


def test_one_page_that_asks_nothing_of_any_server(page):
    assert page.declarations == ["DOCTYPE html"]
    assert page.source.startswith("<!DOCTYPE html>\n<html lang=")
    assert page.tags["svg"] == 7
    assert not {"script", "link", "iframe", "img", "object", "base", "form"} & page.tags.keys()
    assert page.references
    for reference in page.references:
        assert re.match(r"#|data:image/png;base64,", reference), reference
    assert "http" not in page.source
    assert "@import" not in page.source
    assert '<meta name="viewport"' in page.source
    assert "prefers-color-scheme: dark" in page.source
    assert "@media print" in page.source


def test_figures_of_one_page_share_no_ids(page):
    assert len(page.ids) == len(set(page.ids))
    assert len({id_.partition("-")[0] for id_ in page.ids}) == 7
    targets = {reference[1:] for reference in page.references if reference.startswith("#")}
    assert targets == set(page.ids)


def test_every_section_begins_with_its_answer(page):
    assert page.headings == HEADINGS
    sections = page.source.split("<section>")[1:]
    assert len(sections) == 9
    for section in sections:
        assert re.match(r'\s*<h2>[^<]+</h2>\s*<p class="answer">', section)


def test_the_same_bytes_twice(folder):
    once = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == once


def test_what_the_map_says(folder, page):
    found = ImportanceMap.load(folder)
    verdicts = found.verdicts
    assert page.answer(HEADINGS[1]) == "No: some frames matter more than others (p = 0.001)."
    counted = Counter(verdicts.verdict)
    assert f"Of 50 segments {counted['helps']} help, {counted['hurts']} hurt" in page.words
    best = int(np.argmax(found.importance))
    demonstration, start, stop = found.segment(best)
    columns = ("demonstration", "frames", "importance", "95 % interval", "verdict")
    helpful, harmful, everything = (
        rows[1:] for rows in page.tables if rows[0] == list(columns)
    )  # fmt: skip
    assert helpful[0] == [
        str(demonstration), f"{start} to {stop - 1}", f"{found.importance[best]:+.2f}",
        f"{verdicts.lower[best]:+.2f} to {verdicts.upper[best]:+.2f}", "helps",
    ]  # fmt: skip
    assert [row[2] for row in harmful] == [f"{v:+.2f}" for v in np.sort(found.importance)[:10]]
    assert [row[2] for row in everything] == [f"{v:+.2f}" for v in found.importance]
    sums = page.table("demonstration", "importance", "95 % interval", "verdict")
    of_demonstrations = found.demonstrations
    n = decimals(of_demonstrations.importance.tolist())
    assert [row[1] for row in sums] == [signed(v, n) for v in of_demonstrations.importance]
    assert [row[3].split(":")[0] for row in sums] == list(of_demonstrations.verdicts.verdict)
    assert f"reliability is {found.quality.reliability:.2f} of 1" in page.answer(HEADINGS[3])
    baselines = dict(row[:2] for row in page.table("after training on", "mean", "standard error"))
    assert baselines["all frames"] == f"{found.baseline.all_frames.mean:.4g}"


def test_what_was_predicted_stands_beside_what_was_found(folder, page):
    found = ImportanceMap.load(folder)
    foretold = found.study.prediction
    rows = page.table("", "predicted", "found")
    assert rows[0] == [
        "reliability",
        f"{foretold.reliability:.2f} ({foretold.reliability_low:.2f} to "
        f"{foretold.reliability_high:.2f})",
        f"{found.quality.reliability:.2f}",
    ]
    assert rows[1] == ["retrainings", str(foretold.retrainings), str(found.retrainings.done)]


def test_what_the_other_results_say(folder, page):
    plan_, certificate = Plan.load(folder), Certificate.load(folder)
    curation, transfer = Curation.load(folder), r2rise.Transfer.load(folder)
    shares = plan_.variance.shares()
    assert f"{100 * max(shares.values()):.0f} %, comes from" in page.words
    assert page.answer(HEADINGS[4]) == plan_.in_words()
    assert page.answer(HEADINGS[5]) == certificate.in_words()
    assert page.table("", "difference")[0][1] == str(certificate.area_top_random)
    claims = page.table("claim", "verdict")
    assert [row[1] for row in claims] == [
        str(certificate.leaving_out_bottom), str(certificate.keeping_top)
    ]  # fmt: skip
    level = page.table("kept", "most important above random", "p", "random above least important",
                       "p")[0]  # fmt: skip
    assert level[1] == str(certificate.levels[0].top_random.interval)
    assert level[2] == f"{certificate.levels[0].top_random.p_above:.2g}"
    assert page.answer(HEADINGS[6]) == curation.in_words()
    edits = page.table("demonstration", "frames", "why")
    assert [(int(d), frames) for d, frames, _ in edits] == [
        (edit.demonstration, f"{edit.start} to {edit.stop - 1}") for edit in curation.edits
    ]
    compared = r2rise.Comparison.load(folder)
    assert f"{compared.spearman.value:.2f} (" in page.answer(HEADINGS[7])
    passed = [cell.certificate.outcome for cell in transfer.cells].count("pass")
    assert f"{passed} of 4 pairs of learner and map pass" in page.words
    found = ImportanceMap.load(folder)
    assert found.study_hash in page.words
    study = yaml.safe_load(
        re.search(r"demonstrations: sha256.*preset: \w+", page.text, re.DOTALL)[0]
    )
    assert Study.parse(study).study_hash == found.study_hash


def test_levels_at_which_the_top_is_worse_than_random_are_named(folder, tmp_path):
    found, certificate = ImportanceMap.load(folder), Certificate.load(folder)
    first = certificate.levels[0]
    high, low = (
        first.top.model_copy(update={"mean": mean, "lower": mean - 1, "upper": mean + 1})
        for mean in (50, 20)
    )
    as_of_old = {"top_random": None, "random_bottom": None}
    levels = [
        level.model_copy(update={"top": high, "random_as_top": low} | as_of_old)
        for level in certificate.levels
    ]
    good = certificate.model_copy(update={"levels": tuple(levels)})
    assert "Not at every level" not in page_with(tmp_path, found, good).words
    levels[1] = levels[1].model_copy(update={"top": low, "random_as_top": high})
    bad = certificate.model_copy(update={"levels": tuple(levels)})
    warned = page_with(tmp_path, found, bad).words
    assert "Not at every level: with 30 % kept, the most important segments together" in warned


def test_results_about_an_earlier_map_say_so(folder, tmp_path):
    found = ImportanceMap.load(folder)
    others = [kind.load(folder) for kind in (Certificate, Curation, r2rise.Comparison)]
    assert "earlier map" not in page_with(tmp_path, found, *others).words
    later = found.model_copy(update={"study_hash": "sha256:later"})
    words = page_with(tmp_path, later, *others).words
    assert words.count("This is about an earlier map") == 2
    assert "This compares two other maps" in words


def test_missing_parts_say_what_to_run(tmp_path):
    words = page_with(tmp_path, A_MAP).words
    for command in (
        f"r2rise plan {tmp_path}/demonstrations.npz --study {tmp_path}/study.yaml --out {tmp_path}",
        f"r2rise certify {tmp_path}",
        f"r2rise curate {tmp_path} --out better.npz",
        f"r2rise compare {tmp_path} OTHER --out {tmp_path}/comparison.json",
        f"r2rise transfer {tmp_path} OTHER",
    ):
        assert command in words
    assert "not estimated" in words


def test_commands_can_be_pasted_whatever_the_directory_is_called(tmp_path):
    odd = tmp_path / "my <out>; dir"
    assert f"r2rise certify '{odd}'" in page_with(odd, A_MAP).words


def test_hostile_names_are_text(folder, tmp_path):
    script, image = "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'
    found = ImportanceMap.load(folder)
    study = found.study
    hostile = found.model_copy(
        update={
            "study": study.model_copy(
                update={
                    "environment": study.environment.model_copy(update={"id": script}),
                    "algorithm": study.algorithm.model_copy(update={"name": image}),
                }
            ),
            "warnings": (Notice(code="c", detail=f"{script} {{{{ 7 * 7 }}}}"),),
            "versions": {"r2rise": image},
        }
    )
    certificate = Certificate.load(folder).model_copy(update={"algorithm": image})
    transfer = r2rise.Transfer.load(folder)
    renamed = transfer.model_copy(
        update={
            "names": (script, "b"),
            "cells": tuple(
                cell.model_copy(update={"learner": a, "ranking": b})
                for cell, (a, b) in zip(
                    transfer.cells,
                    [(script, script), (script, "b"), ("b", script), ("b", "b")],
                    strict=True,
                )
            ),
        }
    )
    page = page_with(tmp_path, hostile, certificate, renamed)
    assert not {"script", "img"} & page.tags.keys()
    assert page.text.count(script) >= 4
    assert image in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert all(re.match("#|data:image/png", reference) for reference in page.references)


def test_two_thousand_segments_make_less_than_three_megabytes(folder, tmp_path):
    values = np.random.default_rng(0).normal(size=2000)
    starts = np.tile(np.arange(100) * 10, 20)
    verdict = np.where(values > 1, "helps", np.where(values < -1, "hurts", "unresolved"))
    large = ImportanceMap.load(folder).model_copy(
        update={
            "dataset": Dataset(sha256="sha256:0", lengths=np.full(20, 1000)),
            "segments": SegmentTable(
                length=10, demonstration=np.repeat(np.arange(20), 100), start=starts,
                stop=starts + 10,
            ),
            "importance": values, "std_error": np.ones(2000),
            "n_kept": np.full(2000, 9), "n_masked": np.full(2000, 9),
            "verdicts": Verdicts(
                verdict=tuple(verdict.tolist()), lower=values - 2, upper=values + 2,
                confidence=0.95, simultaneous=True, level=0.05, margin=None,
                more_for_half=10**9, more_for_all=10**9,
            ),
        }
    )  # fmt: skip
    others = [kind.load(folder) for kind in (Plan, Certificate, Curation, r2rise.Transfer)]
    page = page_with(tmp_path, large, *others)
    assert len(page.source.encode()) < 3_000_000
    assert sum(len(rows) for rows in page.tables) > 2000
    assert "No number of retrainings would resolve half" in page.words
    assert "for all segments at once" in page.words


UNKNOWN = Quality(equal_importance_p=None, reliability=None, reliability_method="model")
FORETOLD = Prediction(
    reliability=0.8, reliability_low=0.6, reliability_high=0.9, retrainings=128, seconds=90
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"quality": UNKNOWN}, "These retrainings do not say."),
        (
            {"quality": UNKNOWN.model_copy(update={"equal_importance_p": 0.4})},
            "No difference between frames was found (p = 0.4).",
        ),
        (
            {"quality": UNKNOWN.model_copy(update={"reliability": 0.75})},
            "The ranking is fairly reliable: its reliability is 0.75 of 1.",
        ),
        (
            {"quality": UNKNOWN.model_copy(update={"reliability": 0.2})},
            "The ranking is not reliable: its reliability is 0.20 of 1.",
        ),
        ({"partial": True}, "This map is not finished: 64 of 64 retrainings are done."),
        ({}, "64 retrainings done; the budget of the study is 384, all of it spent."),
        (
            {"stopped": Stopped(reason="goal", seconds=7300.0)},
            "but it stopped there, as the goal was reached after 2.0 h of work.",
        ),
        (
            {"stopped": Stopped(reason="time", seconds=None)},
            "the budget of the study is 384, but it stopped there, as time was up.",
        ),
        (
            {
                "study": A_MAP.study.model_copy(update={"prediction": FORETOLD}),
                "stopped": Stopped(reason="time", seconds=30.0),
            },
            "reliability0.80 (0.60 to 0.90)0.93 retrainings12864 time90.0 s, one worker30.0 s",
        ),
        ({"verdicts": None}, "There are no verdicts, since an earlier version"),
        (
            {"verdicts": None, "warnings": (Notice(code="intervals_withheld", detail=""),)},
            "There are no verdicts, since there are too few retrainings for so many segments.",
        ),
        (
            {"warnings": (Notice(code="no_variation", detail="Every mask gave the same."),)},
            "There is nothing to rank: every mask gave the same return.",
        ),
        (
            {"verdicts": A_MAP.verdicts.model_copy(update={"covers": "masks"})},
            "interval: this training seed only",
        ),
        ({"baseline": Baseline()}, "what masks keep"),
        (
            {
                "verdicts": None,
                "estimator": A_MAP.estimator.model_copy(
                    update={"name": "rise", "sign": "order_only"}
                ),
            },
            "A map that gives an order only does not show what hurts",
        ),
        (
            {
                "verdicts": A_MAP.verdicts.model_copy(
                    update={
                        "verdict": ("helps", "hurts", "negligible", *["unresolved"] * 3),
                        "more_for_half": 40,
                        "more_for_all": 10**9,
                    }
                )
            },
            "About 40 more retrainings would resolve half of the 3 unresolved segments; some of "
            "them cannot be resolved by any number of retrainings.",
        ),
        (
            {"importance": np.full(6, -1.0)},
            "No segment seems to help.",
        ),
        (
            {"warnings": (Notice(code="one_training_seed", detail="All masks share one."),)},
            "Warning (one_training_seed): All masks share one.",
        ),
    ],
)  # fmt: skip
def test_words_for_every_case(tmp_path, changes, expected):
    page = page_with(tmp_path, A_MAP.model_copy(update=changes))
    assert page.headings == HEADINGS[1:]
    assert expected in page.words


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ResultError, match=r"no map.json in .*`explain` wrote"):
        write_report(tmp_path)
    OutputDirectory(tmp_path).write(A_MAP)
    (tmp_path / "certificate.json").write_text("{}")
    with pytest.raises(ResultError, match=r"certificate.json is not a certificate"):
        write_report(tmp_path)
    (tmp_path / "map.json").write_text("{}")
    with pytest.raises(MapError, match=r"map.json is not an importance map"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_the_command_says_where_it_wrote(tmp_path):
    OutputDirectory(tmp_path).write(A_MAP)
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (0, f"Written: {tmp_path / 'report.html'}.\n")
    missing = CliRunner().invoke(app, ["report", str(tmp_path / "nothing")])
    assert missing.exit_code == 2
    assert "There is no map.json" in missing.stderr
