"""Every saved result: golden files, committed schemas, versions, and what is refused."""

import importlib
import json
import pkgutil

import jsonschema
import numpy as np
import pytest
from make_golden import NAMED_BY_USERS, RESULTS, golden_path, name_of, schema_path
from pydantic import Field, ValidationError

import r2rise
from r2rise import Certificate, Curation, ImportanceMap, Plan, Transfer
from r2rise.errors import MapError, ResultError
from r2rise.results.result import Result, now
from r2rise.statistics.summaries import FloatList
from r2rise.study.hashing import with_first_defaults

EVERY = pytest.mark.parametrize("result", RESULTS, ids=name_of)


def fields_of(result: type[Result]) -> dict:
    return json.loads(golden_path(result).read_text())


def all_results() -> set[type[Result]]:
    for module in pkgutil.walk_packages(r2rise.__path__, "r2rise."):
        importlib.import_module(module.name)
    return {result for result in Result.__subclasses__() if result.__module__.startswith("r2rise")}


@pytest.mark.imitation  # every module is imported
def test_every_result_has_a_golden_file_and_a_schema():
    assert all_results() == set(RESULTS)
    committed = {path.name for path in schema_path(r2rise.ImportanceMap).parent.iterdir()}
    assert committed == {schema_path(result).name for result in RESULTS}


@EVERY
def test_the_golden_file_loads_and_is_written_back_the_same(result, tmp_path):
    loaded = result.load(golden_path(result))
    assert loaded.to_json() == golden_path(result).read_text()
    loaded.save(tmp_path / "again.json")
    assert result.load(tmp_path / "again.json").to_json() == loaded.to_json()


@EVERY
def test_the_committed_schema_is_the_models_and_accepts_the_golden_file(result):
    schema = json.loads(schema_path(result).read_text())
    assert schema == result.model_json_schema(by_alias=True, mode="serialization")
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(fields_of(result), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(fields_of(result) | {"schema": "r2rise.other"}, schema)


@EVERY
def test_names_of_schema_file_and_title(result, tmp_path):
    fields = fields_of(result)
    assert fields["schema"] == f"r2rise.{name_of(result)}"
    result.load(golden_path(result)).save(tmp_path / result.file_name)
    assert result.load(tmp_path).to_json() == golden_path(result).read_text()


def test_results_in_one_directory_have_files_of_their_own():
    assert len({result.file_name for result in RESULTS}) == len(RESULTS)
    assert len({name_of(result) for result in RESULTS}) == len(RESULTS)


def test_a_map_of_an_older_minor_version_still_loads():
    path = golden_path(r2rise.ImportanceMap).with_name("importance_map-1.0.json")
    old = json.loads(path.read_text())
    assert old["schema_version"] == "1.0"
    assert "verdicts" not in old
    loaded = r2rise.ImportanceMap.load(path)
    assert (loaded.verdicts, loaded.stopped, loaded.degrees_of_freedom) == (None, None, None)
    again = json.loads(loaded.to_json())
    assert {name: again[name] for name in old if name != "study"} == {
        name: old[name] for name in old if name != "study"
    }
    study = with_first_defaults(old["study"])
    assert {name: again["study"][name] for name in study} == study


def with_later_fields(value):
    """Return JSON with one field more in every object of a schema."""
    if isinstance(value, list):
        return [with_later_fields(item) for item in value]
    if not isinstance(value, dict):
        return value
    own = {k: v if k in NAMED_BY_USERS else with_later_fields(v) for k, v in value.items()}
    return own | {"of_a_later_version": [1]}


@EVERY
def test_fields_of_later_minor_versions_are_ignored(result):
    later = with_later_fields(fields_of(result)) | {"schema_version": "1.99"}
    loaded = json.loads(result.from_json(json.dumps(later)).to_json())
    assert loaded == fields_of(result) | {"schema_version": "1.99"}


@EVERY
@pytest.mark.parametrize("version", ["2.0", "0.9", "None", ""])
def test_another_major_version_is_refused(result, version):
    text = json.dumps(fields_of(result) | {"schema_version": version})
    with pytest.raises(result.error, match=f"schema version {version}.* upgrade r2rise"):
        result.from_json(text)


@EVERY
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected JSON"),
        ("{", "expected JSON"),
        ("[]", 'expected a JSON object with "schema": "r2rise.'),
        ("null", 'expected a JSON object with "schema": "r2rise.'),
        ("{}", 'expected a JSON object with "schema": "r2rise.'),
        ('{"schema": "r2rise.other", "schema_version": "1.0"}', '"schema": "r2rise.'),
    ],
)
def test_something_else_is_refused(result, text, reason):
    with pytest.raises(result.error, match=reason):
        result.from_json(text)


@EVERY
def test_results_are_not_taken_for_each_other(result):
    for other in set(RESULTS) - {result}:
        with pytest.raises(result.error, match=f"r2rise.{name_of(result)}"):
            result.from_json(golden_path(other).read_text())


@EVERY
def test_every_missing_field_is_named(result):
    required = [name for name, field in result.model_fields.items() if field.is_required()]
    text = json.dumps({k: v for k, v in fields_of(result).items() if k not in required})
    with pytest.raises(result.error) as caught:
        result.from_json(text)
    lines = [line.strip() for line in str(caught.value).strip().splitlines()]
    assert lines == [f"{name}: is missing." for name in required]


@EVERY
def test_files_that_cannot_be_read_are_named(result, tmp_path):
    with pytest.raises(result.error, match=f"Cannot read the {result.title} .*nothing.json"):
        result.load(tmp_path / "nothing.json")
    with pytest.raises(result.error, match=f"Cannot read the {result.title} .*{result.file_name}"):
        result.load(tmp_path)
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(result.error, match=f"a.json is not an? {result.title}: "):
        result.load(tmp_path / "a.json")


def test_maps_have_an_error_of_their_own():
    assert r2rise.ImportanceMap.error is MapError
    assert {result.error for result in RESULTS if result is not r2rise.ImportanceMap} == {
        ResultError
    }


@EVERY
def test_nan_is_in_no_golden_file(result):
    def refuse(name: str):
        raise AssertionError(name)

    json.loads(golden_path(result).read_text(), parse_constant=refuse)


class Small(Result):
    """A result with every kind of number."""

    title = "small result"
    file_name = "small.json"
    schema_: str = Field(default="r2rise.small", alias="schema")
    schema_version: str = "1.3"
    values: FloatList
    value: float | None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_never_reach_json(value):
    small = Small(values=np.array([1.0, value, 0.1 + 0.2]), value=None)
    fields = json.loads(small.to_json())
    assert fields["values"] == [1.0, None, 0.1 + 0.2]
    again = Small.from_json(small.to_json())
    np.testing.assert_array_equal(again.values, [1.0, np.nan, 0.1 + 0.2])
    with pytest.raises(ValidationError):
        Small(values=np.zeros(1), value=value)
    # not even where validation was passed by
    with pytest.raises(ValueError, match="not JSON compliant"):
        small.model_copy(update={"value": value}).to_json()
    text = small.to_json().replace('"value": null', '"value": NaN')
    with pytest.raises(ResultError, match="value"):
        Small.from_json(text)


def test_a_file_is_there_when_it_is_complete_or_as_it_was(tmp_path):
    path = tmp_path / "small.json"
    Small(values=np.zeros(2), value=1.0).save(path)
    before = path.read_text()
    with pytest.raises(ValueError, match="not JSON compliant"):
        Small(values=np.zeros(2), value=1.0).model_copy(update={"value": np.nan}).save(path)
    assert path.read_text() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["small.json"]


def test_times_are_in_utc_to_the_second():
    assert now().utcoffset().total_seconds() == 0
    assert now().microsecond == 0


def test_results_with_arrays_can_be_compared_and_hashed():
    one, same = (ImportanceMap.load(golden_path(ImportanceMap)) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    assert one.verdicts == same.verdicts
    assert one != one.model_copy(update={"importance": one.importance + 1})
    assert one != "a map"


@pytest.mark.parametrize("ending", [".png", ".svg"])
@pytest.mark.parametrize("result", [Certificate, Curation, Transfer, Plan], ids=lambda r: r.title)
def test_results_with_a_figure_are_saved_as_one(result, ending, tmp_path):
    found = result.load(golden_path(result))
    found.save(tmp_path / f"figure{ending}")
    start = (tmp_path / f"figure{ending}").read_bytes()[:100]
    assert start.startswith(b"\x89PNG" if ending == ".png" else b"<?xml")
    with pytest.raises(ResultError, match=r"is saved as \.json, \.png or \.svg, not as 'a\.txt'"):
        found.save(tmp_path / "a.txt")


def test_completion_lists_nothing_of_pydantic():
    importance = ImportanceMap.load(golden_path(ImportanceMap))
    listed = {name for name in dir(importance) if not name.startswith("_")}
    assert {"importance", "top", "plot", "save", "study", "warnings"} <= listed
    assert not listed & {"copy", "dict", "json", "model_dump", "parse_obj", "validate"}
    assert "model_dump" not in dir(importance.study)
    assert "environment" in dir(importance.study)
