"""Hashes of studies stay what they were, whatever fields studies and settings get."""

import json
from collections.abc import Iterator
from typing import get_args

import pytest
from places import DATA
from pydantic import BaseModel, Field

from r2rise import Evaluation, Masking, Study
from r2rise.algorithms import algorithm_names, check_algorithm
from r2rise.algorithms.bc import BC
from r2rise.algorithms.registry import load_implementation, settings_model
from r2rise.ledger.ledger import LedgerHeader
from r2rise.study.hashing import (
    FIRST_DEFAULTS,
    FIRST_SETTINGS,
    HASH_VERSION,
    json_hash,
    with_first_defaults,
    without_first_defaults,
)
from r2rise.study.specs import AlgorithmSpec

PINNED = json.loads((DATA / "hash-version-1.json").read_text())
"""The fields of version 1, and the first defaults of those added since: what was released stays."""

GOLDEN = json.loads((DATA / "design-hashes.json").read_text())
STUDY = Study(environment="CartPole-v1", demonstrations="sha256:0")
DECLARE = (
    "{} is no field of hash version 1: ledgers of before it would be of another design. Say what "
    "its first default is in r2rise/study/hashing.py, and pin it in tests/data/hash-version-1.json."
)


def fields_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The fields of a model and of the models in it that are saved, as dotted names."""
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        yield f"{prefix}{name}"
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from fields_of(part, f"{prefix}{name}.")


def settings_of(algorithm: str) -> type[BaseModel]:
    return settings_model(load_implementation(AlgorithmSpec(name=algorithm)))


def check_declared(model: type[BaseModel], known: list[str], added: dict) -> None:
    new = [name for name in fields_of(model) if name not in {*known, *added}]
    assert not new, DECLARE.format(new)
    assert {*fields_of(model)} == {*known, *added}, "a field is gone, and ledgers still have it"


def test_every_field_of_a_study_is_of_version_1_or_says_what_its_first_default_is():
    check_declared(Study, PINNED["study"], FIRST_DEFAULTS)


@pytest.mark.parametrize("algorithm", algorithm_names())
def test_so_is_every_setting_of_an_algorithm(algorithm):
    added = FIRST_SETTINGS.get(algorithm, {})
    check_declared(settings_of(algorithm), PINNED["settings"][algorithm], added)


def test_a_field_that_says_nothing_is_found():
    class Evaluation2(Evaluation):
        discard_steps: int = 0

    class Study2(Study):
        evaluation: Evaluation2 = Evaluation2()

    with pytest.raises(AssertionError, match=r"evaluation\.discard_steps'\] is no field of hash"):
        check_declared(Study2, PINNED["study"], FIRST_DEFAULTS)
    undeclared = Study2(**dict(STUDY) | {"evaluation": Evaluation2()})
    assert undeclared.design_hash != STUDY.design_hash


CHANGED: set[str] = set()
"""Added fields whose default is no longer the first one."""


def default_of(model: type[BaseModel], path: str) -> object:
    first, _, rest = path.partition(".")
    field = model.model_fields[first]
    return default_of(field.annotation, rest) if rest else field.default


def test_added_fields_began_with_their_first_defaults():
    added = [(Study, path, first) for path, first in FIRST_DEFAULTS.items()]
    for algorithm, settings in FIRST_SETTINGS.items():
        added += [(settings_of(algorithm), path, first) for path, first in settings.items()]
    for model, path, first in added:
        assert path in CHANGED or default_of(model, path) == first, path


def test_first_defaults_and_version_1_never_change():
    assert PINNED["version"] == HASH_VERSION
    assert PINNED["first_defaults"]["study"] == FIRST_DEFAULTS
    assert PINNED["first_defaults"]["settings"] == FIRST_SETTINGS


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["about"])
def test_the_same_design_has_the_same_hash_as_ever(golden):
    design = golden["design"]
    assert json_hash(without_first_defaults(design)) == golden["design_hash"]
    assert LedgerHeader(design, (40,), 8).design_hash == golden["design_hash"]
    study = Study.resolved(design)
    assert study.design_hash == golden["design_hash"]
    filled = study.model_copy(update={"algorithm": check_algorithm(study.algorithm)})
    assert filled.design_hash == golden["design_hash"]
    assert filled.model_copy(update={"seed": 4}).design_hash != golden["design_hash"]


def test_every_algorithm_has_a_golden_hash():
    assert {golden["design"]["algorithm"]["name"] for golden in GOLDEN} == {*algorithm_names()}


def test_an_added_field_that_says_what_its_first_default_is_changes_no_hash(monkeypatch):
    monkeypatch.setitem(FIRST_DEFAULTS, "evaluation.discard_steps", 0)

    class Evaluation2(Evaluation):
        discard_steps: int = 0

    class Study2(Study):
        evaluation: Evaluation2 = Evaluation2()

    def study(steps: int) -> Study2:
        return Study2(**dict(STUDY) | {"evaluation": Evaluation2(discard_steps=steps)})

    assert study(0).design_hash == STUDY.design_hash
    assert study(0).study_hash == STUDY.study_hash
    assert len({study(steps).design_hash for steps in (0, 1, 2)}) == 3


def test_a_changed_default_is_a_new_value_in_the_hash():
    class Masking2(Masking):
        keep_probability: float = 0.4  # of version 1
        frame_stack: int = 4  # added since, with the first default 1

    class Study2(Study):
        masking: Masking2 = Masking2()

    def study(**masking) -> Study2:
        return Study2(**dict(STUDY) | {"masking": Masking2(**masking)})

    old = {"keep_probability": 0.5, "frame_stack": 1}
    assert study(**old).design_hash == STUDY.design_hash
    assert study(keep_probability=0.5).design_hash != STUDY.design_hash
    assert study(frame_stack=1).design_hash != STUDY.design_hash


def test_a_changed_default_of_a_setting_is_a_new_value_in_the_hash(monkeypatch):
    def study(**settings) -> Study:
        spec = check_algorithm(AlgorithmSpec(name="bc", settings=settings))
        return STUDY.model_copy(update={"algorithm": spec})

    before = study(n_updates=100).design_hash

    class Settings(BC.Settings):
        learning_rate: float = 0.01
        average_last: float = 0.5
        momentum: float = 0.0

    monkeypatch.setattr(BC, "Settings", Settings)
    monkeypatch.setitem(FIRST_SETTINGS, "bc", {**FIRST_SETTINGS["bc"], "momentum": 0.0})
    old = {"n_updates": 100, "learning_rate": 0.001, "average_last": 0.0}
    assert study(**old).design_hash == before
    assert study(**old, momentum=0.1).design_hash != before
    for name in ("learning_rate", "average_last"):
        assert study(**{k: v for k, v in old.items() if k != name}).design_hash != before


def test_what_is_added_to_a_setting_of_the_same_name_elsewhere_is_no_matter():
    design = STUDY.design_part()
    design["algorithm"] = {"name": "gail", "settings": {"average_last": 0.0}}
    assert "average_last" in without_first_defaults(design)["algorithm"]["settings"]


def test_all_fields_are_saved_so_that_another_default_changes_no_saved_study():
    def check(saved: dict, model: type[BaseModel]) -> None:
        assert {*saved} == {name for name, field in model.model_fields.items() if not field.exclude}
        for name, field in model.model_fields.items():
            if isinstance(saved.get(name), dict) and hasattr(field.annotation, "model_fields"):
                check(saved[name], field.annotation)

    check(STUDY.model_dump(mode="json"), Study)


def test_a_saved_study_had_the_first_default_of_a_field_that_it_lacks(monkeypatch):
    class Masking2(Masking):
        frame_stack: int = Field(default=4)

    class Study2(Study):
        masking: Masking2 = Masking2()

    saved = without_first_defaults(STUDY.model_dump(mode="json"))
    assert "frame_stack" not in saved["masking"]
    assert Study2.parse(saved).masking.frame_stack == 4
    assert Study2.resolved(saved).masking.frame_stack == 1
    assert with_first_defaults(saved) == with_first_defaults(STUDY.model_dump(mode="json"))
    assert with_first_defaults(with_first_defaults(saved)) == with_first_defaults(saved)
    assert without_first_defaults(with_first_defaults(saved)) == saved


@pytest.mark.parametrize(
    "broken", [{}, {"masking": None, "algorithm": "bc"}, {"algorithm": {"name": ["bc"]}}]
)
def test_what_is_no_study_is_left_to_those_who_check_it(broken):
    assert with_first_defaults(broken).keys() == broken.keys()
    assert without_first_defaults(broken) == broken
