"""`r2rise convert`, and commands that take other files than .npz."""

import shlex
from pathlib import Path

import numpy as np
import pytest
import toys
from places import ROOT
from typer.testing import CliRunner

import r2rise
from r2rise.formats import read_demonstrations, write_demonstrations
from r2rise_service.cli import app

PAGE = ROOT / "docs" / "formats.md"


def run(command: str):
    result = CliRunner().invoke(app, shlex.split(command))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def folder(tmp_path, monkeypatch, demonstrations, study):
    monkeypatch.chdir(tmp_path)
    demonstrations.save("demos.npz")
    r2rise.explain("demos.npz", study, out="out")
    return tmp_path


def test_every_command_of_the_page_runs_in_its_order(folder, demonstrations):
    commands = [
        line for line in PAGE.read_text().splitlines() if line.startswith("r2rise convert ")
    ]
    assert len(commands) > 10
    for command in commands:
        target = Path(shlex.split(command)[3])
        run(command.removeprefix("r2rise "))
        assert target.exists()
        if target.suffix == ".npz":
            assert r2rise.Demonstrations.load(target).content_hash == demonstrations.content_hash


def test_what_cannot_be_held_is_named_on_standard_error(folder):
    result = run("convert demos.npz demos.csv")
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "Left out: meta (source): csv cannot hold it.",
        "Left out: the type float32 of obs: values are kept, as float64.",
        "Left out: the type float32 of rews: values are kept, as float64.",
        "Written: demos.csv, csv, 2 demonstrations, 80 frames.",
    ]
    pictures = toys.demonstrations()
    frames = np.zeros((80, 4, 4, 3), np.uint8)
    r2rise.Demonstrations(
        pictures.obs, pictures.acts, pictures.lengths, pictures.rews, pictures.terminal, frames
    ).save("pictures.npz")
    result = run("convert pictures.npz d4rl.hdf5 --to d4rl")
    assert result.stderr.splitlines()[0] == "Left out: pictures: d4rl cannot hold them."


@pytest.mark.slow
def test_explain_and_plan_take_any_of_these_files(folder, study, demonstrations):
    write_demonstrations(demonstrations, "demos.hdf5", format="robomimic")
    one, other = (r2rise.explain(f"demos.{ending}", study) for ending in ("hdf5", "npz"))
    assert one.importance.tolist() == other.importance.tolist()
    assert one.study_hash == other.study_hash
    study.save("study.yaml")
    run("plan demos.hdf5 --env toys:OneStep --algorithm toys:Additive --out planned")
    command = "explain demos.hdf5 --study out/study.yaml --out other"
    run(command)
    copy = r2rise.Demonstrations.load("other/demonstrations.npz")
    assert copy.content_hash == demonstrations.content_hash
    run("convert demos.hdf5 weights.parquet --map other")


def test_short_demonstrations_are_left_out_of_what_is_converted_and_explained(folder, study):
    demonstrations = r2rise.Demonstrations.load("demos.npz")
    demonstrations.select(drop=[r2rise.Segment(0, 10, 40)]).save("short.npz")
    left_out = "short.npz: left out 1 demonstration with fewer than 11 frames."
    assert left_out in run("convert short.npz long.npz --min-frames 11").stderr
    long = r2rise.Demonstrations.load("long.npz")
    assert long.lengths.tolist() == [40]
    assert np.array_equal(long.acts, demonstrations.acts[40:])
    study.save("study.yaml")
    run("explain short.npz --study study.yaml --min-frames 11 --out of-long")
    explained = r2rise.ImportanceMap.load("of-long")
    assert explained.study.demonstrations == long.content_hash


@pytest.mark.slow
def test_uploads_are_converted_by_the_client(folder, demonstrations, server):
    write_demonstrations(demonstrations, "demos.hdf5", format="d4rl")
    first = run(f"datasets upload demos.hdf5 --url {server.url}")
    again = run(f"datasets upload demos.npz --url {server.url}")
    forced = run(f"datasets upload demos.hdf5 --format d4rl --url {server.url}")
    assert first.stdout == again.stdout == forced.stdout
    parts = {key: getattr(demonstrations, key) for key in ("acts", "lengths")}
    np.savez("dict.npz", **{"obs.state": demonstrations.obs}, **parts)
    assert run(f"datasets upload dict.npz --url {server.url}").stdout != first.stdout
    assert read_demonstrations("demos.hdf5").content_hash in first.stderr
