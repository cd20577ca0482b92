"""Transfer between learners to whom segments are known to be worth different things."""

import numpy as np
import pytest
import worth
from by_hand import area

import r2rise
from r2rise import Ledger
from r2rise.errors import LedgerError, MapError, StudyError
from r2rise.run.engines import InlineEngine

WORTH = {
    "cautious": (5.0, -3.0, 1.0, 2.5, 6.0, -1.0, 0.5, -2.0),
    "bold": (-1.0, 4.0, 2.0, -0.5, 3.0, 7.0, -6.0, 1.5),
}
D = 8
SIZES = (1, 2, 4, 6, 7)
DEMONSTRATIONS = worth.demonstrations(D)


@pytest.fixture(scope="module")
def maps() -> dict[str, r2rise.ImportanceMap]:
    return {name: worth.explained(values) for name, values in WORTH.items()}


def by_hand(learner: str, ranking: str) -> float:
    """Area between the learner's curves over top and bottom of the other's order."""
    order = np.argsort(-np.array(WORTH[ranking]))
    own = np.array(WORTH[learner])
    heights = [own[order[:k]].sum() - own[order[D - k :]].sum() for k in SIZES]
    return area(heights, [k / D for k in SIZES])


def test_every_cell_is_what_the_learners_worth_says(maps):
    told = []
    found = r2rise.transfer(DEMONSTRATIONS, maps, repetitions=4, progress=told.append)
    assert found.names == ("cautious", "bold")
    assert [(cell.learner, cell.ranking) for cell in found.cells] == [
        ("cautious", "cautious"), ("cautious", "bold"), ("bold", "cautious"), ("bold", "bold")
    ]  # fmt: skip
    for cell in found.cells:
        want = by_hand(cell.learner, cell.ranking)
        assert cell.certificate.area_top_bottom.mean == pytest.approx(want)
        assert cell.share == pytest.approx(want / sum(WORTH[cell.learner]))
        assert cell.certificate.map_study_hash == maps[cell.ranking].study_hash
        assert cell.certificate.baseline.gain == pytest.approx(sum(WORTH[cell.learner]))
        assert found.cell(cell.learner, cell.ranking) is cell
        area = cell.certificate.area_top_bottom
        ends = (area.lower / sum(WORTH[cell.learner]), area.upper / sum(WORTH[cell.learner]))
        assert cell.share_interval == pytest.approx(ends)
    # each row is highest on its own map
    assert by_hand("cautious", "cautious") > by_hand("cautious", "bold")
    assert by_hand("bold", "bold") > by_hand("bold", "cautious")


def test_the_diagonal_is_the_maps_own_certificate(maps):
    found = r2rise.transfer(DEMONSTRATIONS, maps, repetitions=4)
    for name, own in maps.items():
        alone = r2rise.certify(DEMONSTRATIONS, own, repetitions=4)
        assert worth.without_time(found.cell(name, name).certificate) == worth.without_time(alone)


def test_an_unknown_cell(maps):
    found = r2rise.transfer(DEMONSTRATIONS, maps, repetitions=2)
    with pytest.raises(KeyError, match="nobody"):
        found.cell("nobody", "bold")


def test_ledgers_are_added_to_by_name(maps, tmp_path):
    paths = {name: tmp_path / f"{name}.npz" for name in WORTH}
    first = r2rise.transfer(DEMONSTRATIONS, maps, repetitions=3, ledgers=paths)
    for path in paths.values():
        records = Ledger.load(path).records("certify")
        # 2 maps, 3 repetitions, 5 sizes, 4 arms, less what both maps share
        assert 60 < len(records) <= 120
        assert len(Ledger.load(path).records("baseline")) == 2
    told = []
    again = r2rise.transfer(
        DEMONSTRATIONS, maps, repetitions=3, ledgers=paths, progress=told.append
    )
    assert told == []
    assert worth.without_time(again) == worth.without_time(first)
    only_one = r2rise.transfer(DEMONSTRATIONS, maps, repetitions=3, ledgers={"bold": paths["bold"]})
    assert worth.without_time(only_one) == worth.without_time(first)


def test_a_ledger_of_another_learner_is_refused(maps, tmp_path):
    paths = dict.fromkeys(WORTH, tmp_path / "one.npz")
    with pytest.raises(LedgerError, match="another design"):
        r2rise.transfer(DEMONSTRATIONS, maps, repetitions=2, ledgers=paths)


@pytest.mark.parametrize("base", [-1.0, -5.0])
def test_a_learner_that_gains_nothing_has_no_share(maps, base):
    """Its segments are worth 1 in all: with the base all frames are no better than none."""
    values = (5.0, -3.0, 1.0, 2.5, 6.0, -1.0, 0.5, -10.0)
    idle = worth.learned(maps["bold"], values, base=base)
    found = r2rise.transfer(DEMONSTRATIONS, {"idle": idle, "bold": maps["bold"]}, repetitions=2)
    assert found.cell("idle", "bold").certificate.baseline.gain == pytest.approx(1 + base)
    assert found.cell("idle", "bold").share is None
    assert found.cell("idle", "bold").share_interval is None
    assert found.cell("bold", "idle").share is not None


@pytest.mark.parametrize("names", [(), ("bold",)])
def test_fewer_than_two_maps_are_refused(maps, names):
    with pytest.raises(MapError, match=f"at least 2 maps, got {len(names)}"):
        r2rise.transfer(DEMONSTRATIONS, {name: maps[name] for name in names})


def test_maps_of_other_segments_or_demonstrations_are_refused(maps):
    whole = r2rise.explain(
        DEMONSTRATIONS, worth.changed(worth.study(WORTH["bold"]), masking={"segment_length": 20})
    )
    told = []
    with pytest.raises(MapError, match="different segments"):
        r2rise.transfer(
            DEMONSTRATIONS, {**maps, "whole": whole}, repetitions=2, progress=told.append
        )
    elsewhere = r2rise.explain(worth.demonstrations(D, 1), worth.study(WORTH["bold"]))
    with pytest.raises(MapError, match="different demonstrations"):
        r2rise.transfer(DEMONSTRATIONS, {**maps, "elsewhere": elsewhere}, progress=told.append)
    assert told == []


def test_returns_have_the_unit_of_the_learner(maps):
    scored = worth.changed(
        maps["bold"].study, evaluation={"n_episodes": 1, "max_steps": 2, "score": "info:success"}
    )
    success = r2rise.explain(DEMONSTRATIONS, scored)
    found = r2rise.transfer(
        DEMONSTRATIONS, {"success": success, "bold": maps["bold"]}, repetitions=2
    )
    assert found.cell("success", "success").certificate.unit == "info:success"
    assert found.cell("success", "bold").certificate.unit == "info:success"


def test_other_demonstrations_than_the_maps_are_refused(maps):
    with pytest.raises(StudyError, match="is about other demonstrations"):
        r2rise.transfer(worth.demonstrations(D, 1), maps, repetitions=2)


def test_one_engine_serves_all_learners_and_is_closed_at_the_end(maps):
    class Watched:
        window = 1

        def __init__(self):
            self.events, self._engine = [], InlineEngine()

        def start(self, study, demonstrations):
            self.events.append("start")
            self._engine.start(study, demonstrations)

        def submit(self, shard):
            self._engine.submit(shard)

        def results(self):
            return self._engine.results()

        def close(self):
            self.events.append("close")
            self._engine.close()

    engine = Watched()
    found = r2rise.transfer(DEMONSTRATIONS, maps, repetitions=2, engine=engine)
    assert engine.events == ["start", "start", "close"]
    alone = r2rise.transfer(DEMONSTRATIONS, maps, repetitions=2)
    assert worth.without_time(found) == worth.without_time(alone)
