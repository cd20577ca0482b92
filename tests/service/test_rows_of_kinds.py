"""The table of the kinds of jobs agrees with the library, the client and itself."""

from typing import get_args

import pytest
from imports import loaded_by

from r2rise_service.kinds import KINDS, JobKind, JobKindSpec

ALL = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def test_every_kind_has_a_row():
    assert get_args(JobKind) == tuple(KINDS)


@ALL
def test_a_result_is_downloaded_in_every_format_that_it_can_be_saved_as(kind: JobKindSpec):
    assert set(kind.result_endings) == set(kind.result_class.endings)
    assert set(kind.other_files) == set(kind.endings) - set(kind.result_endings)


@ALL
def test_only_kinds_without_a_study_are_based_on_jobs(kind: JobKindSpec):
    assert kind.is_based_on_maps == (kind.name != "explain")
    assert (kind.min_bases > 0) == kind.is_based_on_maps
    assert kind.min_bases <= kind.max_bases


def test_files_below_a_job():
    assert [KINDS["curate"].file_name(ending) for ending in KINDS["curate"].endings] == [
        "curation.json", "curated.npz", "curation.png", "curation.svg", "report"
    ]  # fmt: skip
    assert KINDS["explain"].file_name(".npz") == "importance.npz"
    assert KINDS["curate"].resource_names == ("curation", "curated.npz", "report")


def test_the_table_loads_no_other_package():
    loaded = {name.partition(".")[0] for name in loaded_by("import r2rise_service.kinds")}
    assert not {"numpy", "pydantic", "r2rise", "fastapi", "sqlalchemy", "gymnasium"} & loaded
