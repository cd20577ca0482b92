"""Wrong input at the command line, and the page that shows what it gets.

    python tests/support/wrong_input.py

writes `docs/errors.md`.
"""

import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import toys
from places import ROOT
from typer.testing import CliRunner

import r2rise
from r2rise.formats import write_demonstrations
from r2rise_service.cli import app

PAGE = ROOT / "docs" / "errors.md"


class Wrong(NamedTuple):
    """A wrong command, what it is wrong about, and a part of the message it gets."""

    what: str
    command: str
    message: str
    status: int = 2


def write_files(folder: Path) -> None:
    """Write what the commands below refer to."""
    good = dict(np.load(ROOT / "examples" / "cartpole.npz", allow_pickle=False))
    good.pop("meta")

    def npz(name: str, **changes):
        np.savez(folder / name, **{k: v for k, v in (good | changes).items() if v is not None})

    npz("demos.npz")
    npz("no_acts.npz", acts=None)
    npz("objects.npz", obs=np.array([None] * 505))
    npz("sums.npz", lengths=np.array([100, 100]))
    npz("nan.npz", obs=np.full((505, 4), np.nan, np.float32))
    npz("large.npz", obs=good["obs"].astype(float) * 1e300)
    npz("narrow.npz", obs=np.zeros((505, 3), np.float32))
    npz("floats.npz", acts=np.full(500, 0.5))
    npz("onehot.npz", acts=np.eye(2)[good["acts"]])
    npz("range.npz", acts=np.full(500, 7))
    npz("vectors.npz", obs=np.zeros((505, 2)), acts=np.zeros((500, 2)))
    npz("dict.npz", obs=None, **{"obs.a": np.zeros((505, 2)), "obs.b": np.zeros((505, 2))})
    whole = (folder / "demos.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.npz").write_bytes(b"")
    (folder / "text.npz").write_text("not a zip file")
    toys.demonstrations().save(folder / "toy.npz")
    studies = {
        "broken.yaml": "environment: [",
        "list.yaml": "- CartPole-v1",
        "nothing.yaml": "",
        "twice.yaml": "environment: CartPole-v1\nseed: 1\nseed: 2",
        "typo.yaml": "environment: CartPole-v1\nmasking: {keep_probabilty: 0.2}",
        "keep.yaml": "environment: CartPole-v1\nmasking: {keep_probability: 1.5}",
        "foldover.yaml": (
            "environment: CartPole-v1\nmasking: {design: foldover, keep_probability: 0.2}"
        ),
        "block.yaml": "environment: CartPole-v1\nmasking: {design: foldover, block_size: 48}",
        "shard.yaml": "environment: CartPole-v1\nexecution: {shard_size: 3}",
        "short.yaml": (
            "environment: CartPole-v1\nestimator: difference\n"
            "masking: {design: bernoulli, block_size: 16}"
        ),
        "setting.yaml": (
            "environment: CartPole-v1\nalgorithm: {name: imitation-bc, settings: {epochs: 3}}"
        ),
        "range.yaml": (
            "environment: CartPole-v1\nalgorithm: {name: imitation-bc, settings: {n_epochs: 0}}"
        ),
        "limit.yaml": "environment: {id: CartPole-v1, kwargs: {max_episode_steps: -1}}",
        "text.yaml": "environment: {id: CartPole-v1, kwargs: {max_episode_steps: 1e2}}",
        "stuck.yaml": (
            "environment: {id: toys:Fails, kwargs: {wrong: step}}\nalgorithm: toys:Additive"
        ),
        "kwargs.yaml": "environment: {id: CartPole-v1, kwargs: {gravity: 3}}",
        "score.yaml": (
            "environment: toys:OneStep\nalgorithm: toys:Additive\nevaluation: {score: info:won}"
        ),
        "step.yaml": (
            "environment: CartPole-v1\nalgorithm: {name: bc, settings: {learning_rate: 1.0e+30}}"
        ),
        "threads.yaml": "environment: CartPole-v1\nexecution: {threads: 100000}",
        "episodes.yaml": "environment: CartPole-v1\nevaluation: {n_episodes: 100000000000}",
        "masks.yaml": "environment: CartPole-v1\nmasking: {block_size: 1099511627776}",
        "preset.yaml": "environment: CartPole-v1\npreset: []",
        "changed.yaml": (
            "environment: toys:OneStep\nalgorithm: {name: toys:Additive, identity: sha256:123}"
        ),
        "hash.yaml": "environment: CartPole-v1\ndemonstrations: sha256:123",
    }
    for name, text in studies.items():
        (folder / name).write_text(text)
    (folder / "exiting_script.py").write_text("raise SystemExit('bye')")
    (folder / "no_rows.csv").write_text("demonstration,start,stop\n")
    (folder / "gap.csv").write_text("demonstration,start,stop\n0,0,50\n0,60,100\n")
    (folder / "long.csv").write_text("demonstration,start,stop\n0,0,50\n0,50,100\n")
    write_files_of_others(folder)
    (folder / "map.json").write_text('{"schema": "something else"}')
    (folder / "file").write_text("in the way")
    with zipfile.ZipFile(folder / "hello.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")
    np.savez(folder / "newer.npz", meta=np.array('{"format": "r2rise.ledger/2"}'))
    (folder / "empty").mkdir()
    (folder / "taken.edits.json").write_text("[]")
    (folder / "own" / "plans").mkdir(parents=True)
    (folder / "own" / "map.json").write_text("{}")
    (folder / "own" / "plans" / "plan.yaml").write_text("by hand")
    write_maps(folder)
    (folder / "nomap" / "report.html").write_text("<p>mine")


def write_files_of_others(folder: Path) -> None:
    """Write files of other formats that cannot be used."""
    write_demonstrations(toys.demonstrations(), folder / "demos.hdf5", format="robomimic")
    whole = (folder / "demos.hdf5").read_bytes()
    (folder / "cut.hdf5").write_bytes(whole[: len(whole) // 2])
    with h5py.File(folder / "link.hdf5", "w") as file:
        file["data"] = h5py.ExternalLink("/home/me/other.hdf5", "/data")
    with h5py.File(folder / "keys.hdf5", "w") as file:
        for key in ("object", "eef_pos"):
            file[f"data/demo_0/obs/{key}"] = np.zeros((3, 2))
        file["data/demo_0/actions"] = np.zeros((3, 1))
    with h5py.File(folder / "both.hdf5", "w") as file:
        file["data/demo_0/actions"] = file["observations"] = file["actions"] = np.zeros((3, 1))
    with h5py.File(folder / "ends.hdf5", "w") as file:
        file["observations"] = file["actions"] = file["rewards"] = np.zeros((3, 1))
    (folder / "names.csv").write_text("episode,step,obs,action\n0,0,1.5,1\n0,1,2.5,\n")
    (folder / "line.csv").write_text("demonstration,time,obs,act\n0,0,1.5,1\n0,2,2.5,\n")


def write_maps(folder: Path) -> None:
    """Write output directories: `done`, `long` (other segments), `rise` and `nomap`."""
    study = r2rise.Study.parse(
        {
            "environment": "toys:OneStep",
            "algorithm": "toys:Additive",
            "masking": {"segment_length": 10},
            "evaluation": {"n_episodes": 1, "max_steps": 1},
            "budget": {"retrainings": 32, "baseline_retrainings": 2},
        }
    )
    whole = study.model_copy(update={"masking": r2rise.Masking(segment_length=20)})
    order_only = study.model_copy(update={"estimator": "rise"})
    for name, asked in (("done", study), ("long", whole), ("rise", order_only)):
        r2rise.explain(toys.demonstrations(), asked, out=folder / name)
    shutil.copytree(folder / "done", folder / "nomap", ignore=shutil.ignore_patterns("map.*"))


EXPLAIN, CARTPOLE, TOY = "explain demos.npz --out out", "--env CartPole-v1", "--env toys:OneStep"
TABLE = [
    Wrong("no such file", f"explain nothing.npz {CARTPOLE} --out out", "There is no file"),
    Wrong("a folder instead of a file", f"explain . {CARTPOLE} --out out", "Cannot read ."),
    Wrong("not a zip file", f"explain text.npz {CARTPOLE} --out out", "not a whole .npz file"),
    Wrong("a truncated file", f"explain cut.npz {CARTPOLE} --out out", "not a whole .npz file"),
    Wrong("a missing array", f"explain no_acts.npz {CARTPOLE} --out out", "lacks acts"),
    Wrong("pickled objects", f"explain objects.npz {CARTPOLE} --out out", "Python objects"),
    Wrong("lengths that do not match", f"explain sums.npz {CARTPOLE} --out out", "obs should have"),
    Wrong("NaN", f"explain nan.npz {CARTPOLE} --out out", "NaN or infinite values, first in row 0"),
    Wrong(
        "observations beyond float32", f"explain large.npz {CARTPOLE} --out out",
        "which are infinite in float32",
    ),
    Wrong(
        "observations of the wrong shape",
        f"explain narrow.npz {CARTPOLE} --out out", "expects (4,)",
    ),
    Wrong(
        "actions of the wrong kind",
        f"explain floats.npz {CARTPOLE} --out out", "be cast to int",
    ),
    Wrong("one-hot actions", f"explain onehot.npz {CARTPOLE} --out out", "one_hot"),
    Wrong("actions out of range", f"explain range.npz {CARTPOLE} --out out", "values from 7 to 7"),
    Wrong("demonstrations of the wrong task", f"{EXPLAIN} --env Pendulum-v1", "expects (3,)"),
    Wrong("dict observations", f"explain dict.npz {CARTPOLE} --out out", "obs_keys"),
    Wrong(
        "an unknown observation key",
        f"explain dict.npz {CARTPOLE} --out out --obs-keys a,c", "no observation 'c'",
    ),
    Wrong("a missing environment", EXPLAIN, "Which environment?"),
    Wrong("a misspelt environment", f"{EXPLAIN} --env CartPool-v1", "CartPole"),
    Wrong("a missing environment module", f"{EXPLAIN} --env robots:Arm-v0", "PYTHONPATH"),
    Wrong("an unknown argument of an environment", f"{EXPLAIN} --study kwargs.yaml", "gravity"),
    Wrong("a step limit of -1", f"{EXPLAIN} --study limit.yaml", "should be a whole number of at"),
    Wrong("a number that YAML reads as text", f"{EXPLAIN} --study text.yaml", "is the text '1e2'"),
    Wrong(
        "an environment that cannot take a step",
        "explain vectors.npz --study stuck.yaml --out out", "'toys:Fails' failed: RuntimeError: no",
    ),
    Wrong("a misspelt algorithm", f"{EXPLAIN} {CARTPOLE} --algorithm imitation-cb", "imitation-bc"),
    Wrong(
        "an algorithm named by its file",
        f"{EXPLAIN} {CARTPOLE} --algorithm toys.py:Additive", "such as toys:Additive,",
    ),
    Wrong(
        "an algorithm in a script that exits",
        f"{EXPLAIN} {CARTPOLE} --algorithm exiting_script:f", "(SystemExit: bye)",
    ),
    Wrong(
        "an object that is not an algorithm",
        f"{EXPLAIN} {CARTPOLE} --algorithm toys:N_DEMOS", "is not an algorithm",
    ),
    Wrong("an unknown setting", f"{EXPLAIN} --study setting.yaml", "Did you mean 'n_epochs'"),
    Wrong("a setting out of range", f"{EXPLAIN} --study range.yaml", "greater than or equal to 1"),
    Wrong("a study that is not YAML", f"{EXPLAIN} --study broken.yaml", "is not a YAML file"),
    Wrong("a study that is a list", f"{EXPLAIN} --study list.yaml", "should hold the fields"),
    Wrong("an empty study", f"{EXPLAIN} --study nothing.yaml", "but it is empty"),
    Wrong("a field given twice", f"{EXPLAIN} --study twice.yaml", "'seed' is given twice"),
    Wrong("no such study", f"{EXPLAIN} --study no.yaml", "Cannot read the study no.yaml"),
    Wrong("a misspelt field", f"{EXPLAIN} --study typo.yaml", "Did you mean 'keep_probability'"),
    Wrong("a probability above 1", f"{EXPLAIN} --study keep.yaml", "less than 1 (got 1.5)"),
    Wrong("fold-over with the wrong probability", f"{EXPLAIN} --study foldover.yaml", "'balanced'"),
    Wrong("a block of the wrong size", f"{EXPLAIN} --study block.yaml", "power of two of at least"),
    Wrong("a shard that splits pairs", f"{EXPLAIN} --study shard.yaml", "an even number"),
    Wrong("blocks that are too short", f"{EXPLAIN} --study short.yaml", "estimator 'ridge'"),
    Wrong("demonstrations of another study", f"{EXPLAIN} --study hash.yaml", "is about other dem"),
    Wrong(
        "an algorithm that has changed",
        "explain toy.npz --study changed.yaml --out out", "is not the one that this study was made",
    ),
    Wrong(
        "an algorithm that holds a lock",
        f"explain toy.npz {TOY} --algorithm toys:raises_with_lock --out out",
        "an argument of the partial is a _thread.lock",
    ),
    Wrong("a preset that is a list", f"{EXPLAIN} --study preset.yaml", "no preset []"),
    Wrong("an unknown preset", f"{EXPLAIN} {CARTPOLE} --preset papr", "Did you mean 'paper'"),
    Wrong("an unknown estimator", f"{EXPLAIN} {CARTPOLE} --estimator mean", "'ridge'"),
    Wrong("no retrainings", f"{EXPLAIN} {CARTPOLE} --retrainings 0", "greater than or equal to 1"),
    Wrong(
        "more retrainings than fit into memory",
        f"{EXPLAIN} {CARTPOLE} --retrainings 100000000000",
        "at most 1000000, got 100000000000. The records of more retrainings do not fit into the "
        "memory",
    ),
    Wrong(
        "a block with too many masks",
        f"{EXPLAIN} --study masks.yaml", "at most 1000000, got 109",
    ),
    Wrong("too many episodes", f"{EXPLAIN} --study episodes.yaml", "at most 100000, got 100000000"),
    Wrong("too many threads", f"{EXPLAIN} --study threads.yaml", "No machine has that many"),
    Wrong(
        "too many workers",
        f"{EXPLAIN} {CARTPOLE} --workers 10000", "More than 4 for each processor would only wait",
    ),
    Wrong("a negative number of workers", f"{EXPLAIN} {CARTPOLE} --workers -1", "got -1."),
    Wrong(
        "a frame stack longer than the demonstrations",
        f"{EXPLAIN} {CARTPOLE} --frame-stack 200", "the longest demonstration has 100 frames",
    ),
    Wrong(
        "a plan with too many retrainings",
        f"plan demos.npz {CARTPOLE} --max-retrainings 100000000000 --out out",
        "max_retrainings should be a whole number from 1 to 1000000, got 100000000000",
    ),
    Wrong(
        "a plan without retrainings", f"plan demos.npz {CARTPOLE} --max-retrainings 0 --out out",
        "from 1 to 1000000, got 0.",
    ),
    Wrong("a budget that is not a number", f"{EXPLAIN} {CARTPOLE} --retrainings many", "integer"),
    Wrong("a segment length of 0", f"{EXPLAIN} {CARTPOLE} --segment-length 0", "at least 1 frame"),
    Wrong("a segment length in words", f"{EXPLAIN} {CARTPOLE} --segment-length ten", "or 'auto'"),
    Wrong("segments with a gap", f"{EXPLAIN} {CARTPOLE} --segments gap.csv", "line 3: expected"),
    Wrong("no segments", f"{EXPLAIN} {CARTPOLE} --segments no_rows.csv", "holds no segment"),
    Wrong(
        "segments of other demonstrations",
        f"{EXPLAIN} {CARTPOLE} --segments long.csv", "names 1 demon",
    ),
    Wrong(
        "two definitions of segments",
        f"{EXPLAIN} {CARTPOLE} --segments gap.csv --segment-length 5", "not both",
    ),
    Wrong("a negative seed", f"{EXPLAIN} {CARTPOLE} --seed -1", "greater than or equal to 0"),
    Wrong("a missing output directory", f"explain demos.npz {CARTPOLE}", "--out"),
    Wrong("an unknown option", f"{EXPLAIN} {CARTPOLE} --retraining 5", "--retrainings"),
    Wrong("an empty output directory", f"explain demos.npz {CARTPOLE} --out=", "--out is"),
    Wrong(
        "an output directory below a file", f"explain toy.npz {TOY} --out file/out",
        "file is a file, not a directory",
    ),
    Wrong("an output path that is a file", f"explain toy.npz {TOY} --out file", "should be a dir"),
    Wrong(
        "an algorithm that raises",
        f"explain toy.npz {TOY} --algorithm toys:raises --out out1", "ValueError: no way", 1,
    ),
    Wrong(
        "a policy that returns NaN",
        f"explain toy.npz {TOY} --algorithm toys:returns_nan --out out2", "not finite numbers", 1,
    ),
    Wrong(
        "a step size at which training diverges", "explain demos.npz --study step.yaml --out out4",
        "a smaller learning_rate may help", 1,
    ),
    Wrong("a score that info lacks", "explain toy.npz --study score.yaml --out out3", "'won'", 1),
    Wrong(
        "a misspelt goal",
        f"{EXPLAIN} {CARTPOLE} --until reliabilty=0.9", "Did you mean 'reliability'",
    ),
    Wrong("an unknown goal", f"{EXPLAIN} {CARTPOLE} --until soon", "Known: reliability, verd"),
    Wrong("a goal without a number", f"{EXPLAIN} {CARTPOLE} --until reliability", "=NUMBER or ver"),
    Wrong(
        "a goal that cannot be reached",
        f"{EXPLAIN} {CARTPOLE} --until reliability=90", "less than 1",
    ),
    Wrong(
        "a goal given twice",
        f"{EXPLAIN} {CARTPOLE} --until reliability=0.9 --until reliability=0.5",
        "--until reliability is given twice",
    ),
    Wrong("one retraining", f"{EXPLAIN} {CARTPOLE} --retrainings 1", "should be at least 2, since"),
    Wrong("an invalid time", f"{EXPLAIN} {CARTPOLE} --max-time soon", "90, 90s, 5m or 2h"),
    Wrong("a time of 0", f"{EXPLAIN} {CARTPOLE} --max-time 0m", "90, 90s, 5m or 2h, got '0m'"),
    Wrong(
        "a ledger of a newer r2rise",
        f"{EXPLAIN} {CARTPOLE} --ledger newer.npz", "'r2rise.ledger/2'. A newer r2rise wrote it", 1,
    ),
    Wrong("a folder that explain did not write", "certify empty", "demonstrations.npz is missing"),
    Wrong("a map instead of its folder", "certify done/map.json", "Its directory is done."),
    Wrong("a folder without a map", "certify nomap", "Cannot read the importance map nomap/map.js"),
    Wrong("one repetition", "certify done --repetitions 1", "from 2 to 10000, got 1."),
    Wrong(
        "too many repetitions", "certify done --repetitions 1000000000",
        "from 2 to 10000, got 1000000000. Each repetition",
    ),
    Wrong(
        "a transfer with one repetition",
        "transfer done rise --repetitions 1", "from 2 to 10000",
    ),
    Wrong("a map without signs", "curate rise --out better.npz", "only ranks segments"),
    Wrong("a file of the wrong kind", "curate done --out better.csv", "--out should end in .npz"),
    Wrong("a file below a file", "curate done --out file/better.npz", "a file, not a directory"),
    Wrong(
        "a file that the study needs",
        "curate done --out done/ledger.npz", "would overwrite done",
    ),
    Wrong(
        "an existing file of the user",
        "curate done --out demos.npz", "and not as this study wrote it",
    ),
    Wrong("existing edits", "curate done --out taken.npz", "taken.edits.json already exists"),
    Wrong("a directory with another map", f"explain toy.npz {TOY} --out own", "own/map.json would"),
    Wrong(
        "a directory with another study", f"plan toy.npz {TOY} --out own/plans",
        "own/plans/plan.yaml would be replaced, but r2rise did not write it for this study",
    ),
    Wrong("a directory with another report", "report nomap", "wrote it: move it away, or replace"),
    Wrong(
        "a report with the wrong extension",
        "report done --out report.txt", "--out should end in .html",
    ),
    Wrong("an existing report", "report done --out nomap/report.html", "already exists"),
    Wrong("a transfer with one map", "transfer done", "needs at least 2 maps, got 1"),
    Wrong("a transfer with the same map twice", "transfer done done", "A directory is given twice"),
    Wrong("maps of different segments", "transfer done long", "have different segments (8 and 4)"),
    Wrong("a folder as the output file", "compare done done --out done", "done is a directory"),
    Wrong("an existing comparison", "compare done done --out map.json", "map.json already exi"),
    Wrong("a comparison as text", "compare done done --out a.txt", ".json, .png or .svg, got a.t"),
    Wrong("an empty map", "show empty.npz", "empty.npz is not an importance map"),
    Wrong("no such map", "show nothing.json", "Cannot read the importance map"),
    Wrong("a file that is not a map", "show map.json", "is not an importance map"),
    Wrong("demonstrations instead of a map", "show demos.npz", "is not an importance map"),
    Wrong("two maps, one of them missing", "compare map.json nothing.json", "map.json"),
    Wrong("an unknown policy", f"record {CARTPOLE} --policy expert --out r.npz", "module:policy"),
    Wrong(
        "a missing model file",
        f"record {CARTPOLE} --policy no.zip --out r.npz", "There is no file no",
    ),
    Wrong(
        "a file that is not a model",
        f"record {CARTPOLE} --policy hello.zip --out r.npz", "not a S",
    ),
    Wrong(
        "a policy that cannot be imported",
        f"record {CARTPOLE} --policy nowhere:policy --out r.npz", "Cannot import 'nowhere'",
    ),
    Wrong(
        "a policy that cannot act",
        f"record {CARTPOLE} --policy toys:N_DEMOS --out r.npz",
        "is not a policy: expected an object",
    ),
    Wrong(
        "a policy for another environment",
        f"record {CARTPOLE} --policy toys:zero --out r.npz", "actions of shape (1,), got (1, 1)",
    ),
    Wrong(
        "pictures of an environment that cannot be drawn",
        f"record {TOY} --policy random --pictures 96 --out r.npz", "cannot draw pictures",
    ),
    Wrong(
        "a share above 1",
        f"record {CARTPOLE} --policy random --worse-share 2 --out r.npz", "'--worse-share'",
    ),
    Wrong(
        "demonstrations with the wrong extension",
        f"record {CARTPOLE} --policy random --out r.csv", ".npz",
    ),
    Wrong(
        "existing demonstrations", f"record {CARTPOLE} --policy random --out demos.npz",
        "demos.npz already exists: choose another name, or replace it with --force",
    ),
    Wrong(
        "an existing expert", f"train-expert {CARTPOLE} --out hello.zip",
        "hello.zip already exists: choose another name",
    ),
    Wrong(
        "an empty environment", "record --env= --policy random --out r.npz",
        "--env is empty: give a value, or leave it out.",
    ),
    Wrong(
        "too many demonstrations",
        f"record {CARTPOLE} --policy random --demonstrations 1000000000000 --out r.npz",
        "less than or equal to 100000",
    ),
    Wrong(
        "an expert of an unknown environment", "train-expert --env Chess-v9 --out e.zip",
        "no environment",
    ),
    Wrong(
        "an expert with the wrong extension",
        f"train-expert {CARTPOLE} --out e.csv", "should end in .zip",
    ),
    Wrong(
        "an expert without training steps",
        f"train-expert {CARTPOLE} --steps 0 --out e.zip", "steps should",
    ),
    Wrong("keys of plain observations", "convert demos.npz a.npz --obs-keys a", "leave it out"),
    Wrong("actions that are not one-hot", "convert floats.npz a.npz --one-hot", "one-hot actions"),
    Wrong("an unknown format", "convert demos.npz a.npz --to robomimik", "Did you mean 'robom"),
    Wrong("an extension of two formats", "convert demos.npz a.hdf5", "Name one: robomimic,"),
    Wrong("an unknown extension", "convert demos.npz a.pkl", "Name one: npz, imitation"),
    Wrong("a file that fits two formats", "convert both.hdf5 a.npz", "read as robomimic or d4rl"),
    Wrong("a file of unknown format", "convert broken.yaml a.npz", "none of the known formats"),
    Wrong("an existing folder", "convert demos.npz empty --to minari", "already exists"),
    Wrong(
        "a folder where a file is expected",
        "convert demos.npz empty --to csv", "csv is a file, but",
    ),
    Wrong("an existing file", "convert demos.npz toy.npz", "toy.npz already exists"),
    Wrong(
        "the same file as input and output",
        "convert demos.npz ./demos.npz", "is what is read",
    ),
    Wrong("truncated HDF5", "convert cut.hdf5 a.npz", "cut.hdf5 is not a whole HDF5 file"),
    Wrong("HDF5 with an external link", "convert link.hdf5 a.npz", "is a link (ExternalLink)"),
    Wrong("several observation keys", "convert keys.hdf5 a.npz", "(eef_pos, object): name those"),
    Wrong("CSV with a gap", "convert line.csv a.npz", "line 3: expected time 1, got '2'"),
    Wrong(
        "CSV with unknown columns",
        "convert names.csv a.npz", "Did you mean demonstration for epis",
    ),
    Wrong(
        "D4RL without ends of episodes",
        "convert ends.hdf5 a.npz", "no timeouts, and no next_observ",
    ),
    Wrong(
        "demonstrations that are all too short",
        "convert toy.npz a.npz --min-frames 99", "longest has 40",
    ),
    Wrong("weights without a map", "convert demos.npz a.parquet", "from an importance map"),
    Wrong(
        "a map of other demonstrations",
        "convert demos.npz a.json --map long", "is about demonstrations",
    ),
    Wrong("a map for CSV", "convert toy.npz a.csv --map done", "these formats do: robomimic"),
    Wrong(
        "weights from a map without signs",
        "convert toy.npz a.parquet --map rise", "only ranks segments",
    ),
    Wrong("an unsupported database", "serve --database mysql://db/r2rise", "like postgresql://"),
    Wrong("a scheduler without a protocol", "serve --scheduler gpu:8786", "like tls://host:8786"),
    Wrong("a scheduler without certificates", "serve --scheduler tls://gpu:8786", "needs tls_ca"),
    Wrong("0 days", "serve --keep-days 0", "greater than 0, got '0.0'"),
    Wrong("an unknown scope", "keys create --scope root", "'submit' or 'admin', got 'root'"),
    Wrong("an invalid owner", "keys create --owner a/b", "owner: String should match"),
    Wrong("keys without a server", "keys list --data nothing", "There is no folder nothing"),
    Wrong("a database without a server", "db check --data nothing", "There is no folder nothing"),
    Wrong("a certificate without a key", "serve --tls-ca ca.pem", "all of tls_ca, tls_cert and"),
    Wrong(
        "a server with too many workers",
        "serve --workers 10000", "a few for each processor, got",
    ),
    Wrong(
        "a worker command with too many workers",
        "worker --scheduler tcp://127.0.0.1:8786 --workers 10000", "More than 4 for each processor",
    ),
    Wrong("a worker without a scheduler", "worker", "Missing option '--scheduler'"),
    Wrong("an impossible port", "worker --scheduler tcp://gpu:99999", "Expected tls://HOST"),
    Wrong("a scheduler without a port", "worker --scheduler gpu", "Expected tls://HOST:PORT or"),
    Wrong(
        "an upload of a missing file",
        "datasets upload nothing.npz", "There is no file nothing.npz",
    ),
    Wrong("an upload of dict observations", "datasets upload dict.npz", "obs_keys"),
    Wrong("a job without an environment", "jobs submit demos.npz", "Which environment?"),
    Wrong(
        "a label without a value",
        f"jobs submit demos.npz {CARTPOLE} --label robot", "should be name=value, got 'robot'",
    ),
    Wrong("a priority out of range", f"jobs submit demos.npz {CARTPOLE} --priority 101", "to 100"),
    Wrong("an unknown status", "jobs list --status done", "should be the status of a job"),
    Wrong("an invalid URL", "jobs list --url gpu:8000", "look like http://127.0.0.1:8000"),
    Wrong(
        "a certificate with one repetition",
        "jobs certify job_1 --repetitions 1", "from 2 to 10000",
    ),
    Wrong("an invalid time limit", "jobs wait job_1 --timeout soon", "5m or 2h, got 'soon'"),
    Wrong("a folder as the download file", "jobs download job_1 --out done", "done is a directory"),
    Wrong("an existing download", "jobs download job_1 --out map.json", "map.json already exi"),
    Wrong(
        "an unreachable server",
        "jobs list --url http://127.0.0.1:9", "Start one with `r2rise serve`", 3,
    ),
    Wrong("an unknown command", "explian demos.npz", "explain"),
]  # fmt: skip


def run(command: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, command.split())
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def as_page(message: Callable[[str], tuple[int, str]]) -> str:
    lines = [
        "# Wrong input and its messages",
        "",
        "Each message says what was expected, what was given, and what to do. If the exit status "
        "is 2, nothing was retrained.",
        "",
        "| mistake | command | exit status | message |",
        "|---|---|---|---|",
    ]
    for wrong in TABLE:
        status, output = message(wrong.command)
        text = " ".join(output[output.index("Error:") :].split()).replace("|", "\\|")
        lines.append(f"| {wrong.what} | `r2rise {wrong.command}` | {status} | {text} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        write_files(Path(scratch))
        os.chdir(scratch)
        PAGE.write_text(as_page(run))
