"""A map that is made up, and what a picture shows."""

import io
from datetime import UTC, datetime
from xml.etree import ElementTree

import numpy as np

from r2rise import ImportanceMap, Study
from r2rise.statistics.summaries import (
    AllFrames,
    Baseline,
    Dataset,
    EstimatorInfo,
    Quality,
    RandomPolicy,
    Retrainings,
    SegmentTable,
    Verdicts,
)

WHEN = datetime(2026, 1, 2, tzinfo=UTC)
BASELINE = Baseline(
    all_frames=AllFrames(mean=18, std_error=1, n_retrainings=3, n_episodes=60),
    random_policy=RandomPolicy(mean=2, std_error=1, n_episodes=20),
)
SVG = "{http://www.w3.org/2000/svg}"


def made_map(importance, verdict=None, n_demos=1, length=10, **fields) -> ImportanceMap:
    """A map of equally long segments; standard errors are 1."""
    values = np.array(importance, dtype=np.float64)
    each = len(values) // n_demos
    starts = np.tile(np.arange(each) * length, n_demos)
    verdicts = None
    if verdict is not None:
        verdicts = Verdicts(
            verdict=tuple(verdict), lower=values - 2, upper=values + 2, confidence=0.95,
            simultaneous=False, level=0.05, margin=1.0, more_for_half=None, more_for_all=None,
        )  # fmt: skip
    study = Study(
        environment="toys:OneStep",
        algorithm="toys:Additive",
        masking={"segment_length": length, "design": "foldover", "block_size": 32},
    )
    given = {
        "revision": 64, "partial": False, "created_at": WHEN, "study": study,
        "design_hash": study.design_hash, "study_hash": study.study_hash,
        "dataset": Dataset(sha256="sha256:0", lengths=np.full(n_demos, each * length)),
        "estimator": EstimatorInfo(
            name="difference", unit="episode_return", sign="positive_helps"
        ),
        "retrainings": Retrainings(
            done=64, failed=0, planned=64, mean_return=9.5, std_return=2.0
        ),
        "baseline": BASELINE,
        "segments": SegmentTable(
            length=length, demonstration=np.repeat(np.arange(n_demos), each), start=starts,
            stop=starts + length,
        ),
        "importance": values,
        "std_error": np.where(np.isfinite(values), 1.0, np.nan),
        "n_kept": np.full(len(values), 32),
        "n_masked": np.full(len(values), 32),
        "verdicts": verdicts,
        "quality": Quality(
            equal_importance_p=0.001, reliability=0.93, reliability_method="blocks"
        ),
        "versions": {"r2rise": "0.1.0"},
        "warnings": (),
    }  # fmt: skip
    return ImportanceMap(**given | fields)


VERDICTS = ("helps", "hurts", "negligible", None, "unresolved", "helps")
A_MAP = made_map([5, -4, 0.1, np.nan, 1.5, 3], VERDICTS, n_demos=2)


def drawn(draw, format="svg") -> bytes:  # noqa: A002
    file = io.BytesIO()
    draw(file, format=format)
    return file.getvalue()


def texts(draw) -> list[str]:
    root = ElementTree.fromstring(drawn(draw))
    assert root.tag == f"{SVG}svg"
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]
