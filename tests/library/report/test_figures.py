import io
import re
from functools import partial
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from drawings import A_MAP, BASELINE, SVG, WHEN, drawn, made_map, texts
from imports import loaded_by
from matplotlib.image import imread

from r2rise import Certificate, Curation, ImportanceMap, Transfer, compare
from r2rise.report.figures.certificate import draw_certificate
from r2rise.report.figures.comparison import both_maps, draw_comparison
from r2rise.report.figures.curation import draw_curation
from r2rise.report.figures.importance import draw_importance
from r2rise.report.figures.transfer import draw_transfer
from r2rise.report.figures.variance import draw_variance
from r2rise.results.certificate import KeepLevel
from r2rise.results.curation import Confirmation, Trial
from r2rise.results.transfer import Cell
from r2rise.statistics.intervals import MeanInterval
from r2rise.statistics.summaries import (
    Baseline,
    VarianceSplit,
)


def interval(mean: float) -> MeanInterval:
    return MeanInterval(mean=mean, lower=mean - 2, upper=mean + 2, n=20)


def made_certificate(**fields) -> Certificate:
    levels = tuple(
        KeepLevel(
            n_segments=k, keep=k / 10, top=interval(10 + k), bottom=interval(k),
            random_as_top=interval(5 + k), random_as_bottom=interval(4 + k),
        )
        for k in (1, 3, 5)
    )  # fmt: skip
    given = {
        "created_at": WHEN, "outcome": "pass", "algorithm": "bc", "map_algorithm": "gail",
        "map_revision": 64, "map_study_hash": "sha256:1", "unit": "episode_return",
        "levels": levels, "area_top_random": interval(5), "area_random_bottom": interval(5),
        "area_top_bottom": interval(10), "luck_p": 0.0001, "n_retrainings": 240, "n_failed": 0,
        "versions": {},
        "baseline": BASELINE,
    }  # fmt: skip
    return Certificate(**given | fields)


def made_curation(**fields) -> Curation:
    given = {
        "created_at": WHEN, "outcome": "gain", "algorithm": "bc", "dataset": "sha256:0",
        "map_revision": 64, "map_study_hash": "sha256:1", "unit": "info:success",
        "trials": tuple(
            Trial(n_dropped=k, mean_return=interval(20 + k), gain=interval(4 + k)) for k in (1, 2)
        ),
        "confirmation": Confirmation(
            all_frames=interval(15), curated=interval(20), random_drop=interval(14),
            gain=interval(5), gain_over_random=interval(6),
        ),
        "edits": (), "n_retrainings": 100, "n_failed": 0, "versions": {},
    }  # fmt: skip
    return Curation(**given | fields)


def made_transfer(decided: str = "pass") -> Transfer:
    shares = {("bc", "bc"): 0.8, ("bc", "gail"): -0.25, ("gail", "bc"): None, ("gail", "gail"): 1.2}
    cells = tuple(
        Cell(
            learner=a,
            ranking=b,
            share=share,
            certificate=made_certificate(outcome=decided if a == b == "gail" else "undecided"),
        )
        for (a, b), share in shares.items()
    )
    return Transfer(created_at=WHEN, names=("bc", "gail"), cells=cells, versions={})


FIRST = made_map([5, -5, 2, 0.1, -3, 1], n_demos=2)
SECOND = made_map([4, -15, 2.5, 0.3, -1, 12], n_demos=2, std_error=np.full(6, 0.5))
SPLIT = VarianceSplit(masks=44, training_seeds=20, masks_by_seeds=33, episodes=3)
FIGURES = {
    "importance": partial(draw_importance, A_MAP),
    "certificate": partial(draw_certificate, made_certificate()),
    "curation": partial(draw_curation, made_curation()),
    "variance": partial(draw_variance, SPLIT),
    "comparison": partial(draw_comparison, compare(FIRST, SECOND), FIRST, SECOND),
    "transfer": partial(draw_transfer, made_transfer()),
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("format", ["png", "svg"])
def test_the_same_bytes_twice_whatever_style_the_user_has(name, format):  # noqa: A002
    once = drawn(FIGURES[name], format)
    assert once.startswith(b"\x89PNG" if format == "png" else b"<?xml")
    assert b"dc:date" not in once
    assert b"Software" not in once
    mine = {"axes.facecolor": "black", "text.color": "red", "svg.hashsalt": "mine"}
    with matplotlib.rc_context(mine):
        assert drawn(FIGURES[name], format) == once
        assert matplotlib.rcParams["text.color"] == "red"


def test_pyplot_is_never_loaded(tmp_path):
    imports = """
import io
from r2rise.report.figures.variance import draw_variance
from r2rise.statistics.summaries import VarianceSplit as V
"""
    draw = "draw_variance(V(masks=1, training_seeds=1, masks_by_seeds=1, episodes=1), io.BytesIO())"
    assert "matplotlib" not in loaded_by(imports)
    drawn = loaded_by(imports + draw)
    assert "matplotlib" in drawn
    assert "matplotlib.pyplot" not in drawn


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("importance", {
            "frame", "demonstration", "importance (episode return)", "helps", "hurts",
            "negligible (pale)", "unresolved (pale)", "not estimated",
            "toys:OneStep, toys:Additive, 64 retrainings, reliability 0.93",
        }),
        ("certificate", {
            "segments kept (%)", "mean episode return", "most important", "least important",
            "random, sized as most important", "random, sized as least important", "all frames",
            "random actions", "Pass (bc on the map of gail; chance ordering p = 0.0001)",
        }),
        ("curation", {
            "segments left out", "mean info:success", "all frames (trial seeds)", "all frames",
            "fresh seeds, each at its best", "Gain (bc)",
        }),
        ("variance", {
            "44 %", "20 %", "33 %", "which frames are kept: 44 %", "training seed: 20 %",
            "frames kept and training seed together: 33 %",
            "chance in the evaluation episodes: 3 %", "share of the variance of the returns (%)",
        }),
        ("comparison", {
            "importance in the first map, toys:Additive (episode return)",
            "importance in the second map, toys:Additive (episode return)",
            "in equal proportion (1 to 2.5)", "more important in the first map",
            "less important in the first map", "no difference found",
        }),
        ("transfer", {
            "map", "learner", "80 %", "-25 %", "unknown", "120 %", "pass", "undecided",
            "50 to 75 %",
        }),
    ],
)  # fmt: skip
def test_text_is_text_and_names_units(name, expected):
    assert expected <= set(texts(FIGURES[name]))


def test_shares_of_the_variance_sum_to_a_hundred_per_cent():
    split = VarianceSplit(masks=1, training_seeds=1, masks_by_seeds=1, episodes=0)
    found = texts(partial(draw_variance, split))
    assert [text for text in found if re.fullmatch(r"\d+ %", text)] == ["34 %", "33 %", "33 %"]


def test_maps_of_one_scale_are_compared_with_equal_importance():
    names = ("out", "longer")
    draw = partial(draw_comparison, compare(FIRST, FIRST, names=names), FIRST, FIRST)
    found = texts(draw)
    assert {"equal importance", "importance in out (episode return)",
            "importance in longer (episode return)"} <= set(found)  # fmt: skip


def test_a_share_too_small_for_its_label_is_in_the_legend_only():
    assert "3 %" not in texts(FIGURES["variance"])
    nothing = VarianceSplit(masks=0, training_seeds=0, masks_by_seeds=0, episodes=0)
    assert "training seed: 0 %" in texts(partial(draw_variance, nothing))


def pixels_of(importance_map: ImportanceMap) -> np.ndarray:
    return imread(io.BytesIO(drawn(partial(draw_importance, importance_map), "png")))[..., :3]


def cells(importance_map: ImportanceMap) -> list[np.ndarray]:
    """The pixels of the cells of a map of one demonstration, between its edges."""
    pixels = pixels_of(importance_map)
    dark = (pixels.max(axis=2) < 0.6) & (np.ptp(pixels, axis=2) < 0.05)
    frame = np.flatnonzero(dark.sum(axis=1) > 0.9 * pixels.shape[1])  # edges of the axes
    bottom = frame[-1]
    top = frame[frame < bottom - 20][-1]
    edges = np.flatnonzero(dark[top:bottom].all(axis=0))
    inside = pixels[top + 12 : bottom - 12, edges[0] + 3 : edges[-1] - 2]
    return np.array_split(inside, len(importance_map), axis=1)


def grey_cells(importance_map: ImportanceMap) -> list[np.ndarray]:
    """The same as a grey printer has them."""
    return [cell @ (0.299, 0.587, 0.114) for cell in cells(importance_map)]


def strength(cell: np.ndarray) -> float:
    """How strong the colour of a cell is, 0 for grey, beside its mark."""
    corner = cell[10:14, 10:14].reshape(-1, 3)
    return float(np.ptp(corner, axis=1).mean())


def test_a_map_is_drawn_on_the_axes_that_are_given():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5))
    own, other = figure.subplots(2, 1)
    assert A_MAP.plot(own) is own
    assert len(figure.axes) == 3  # the third is the colour bar
    assert figure.axes[2].get_ylabel() == "importance (episode return)"
    assert (own.get_xlabel(), own.get_ylabel()) == ("frame", "demonstration")
    cells = own.collections[0]
    assert len(cells.get_paths()) == np.isfinite(A_MAP.importance).sum()
    assert not other.collections


def test_marks_tell_verdicts_apart_in_grey():
    verdict = ("helps", "hurts", "negligible", "unresolved")
    shapes = []
    for cell in grey_cells(made_map([5.0] * 4, verdict)):
        inside = cell[4:-4, 8:-8]
        mark = np.argwhere(np.abs(inside - np.median(inside)) > 0.4)
        shapes.append(np.ptp(mark, axis=0) + 1 if len(mark) else (0, 0))
    (plus_high, plus_wide), (minus_high, minus_wide), (dot_high, dot_wide), nothing = shapes
    assert plus_high == pytest.approx(plus_wide, abs=1)
    assert plus_high > 12
    assert minus_wide > 4 * minus_high > 0
    assert 3 <= dot_high == pytest.approx(dot_wide, abs=1)
    assert dot_high < 0.7 * plus_high
    assert tuple(nothing) == (0, 0)


def test_marks_contrast_with_their_cell():
    on_dark = grey_cells(made_map([5.0], ["helps"]))[0]
    assert (on_dark[4:-4, 8:-8] > 0.9).any()
    svg = drawn(partial(draw_importance, made_map([5.0, 0.5], ["helps", "helps"]))).decode()
    assert "stroke: #ffffff" in svg.partition('id="PathCollection_1"')[2]
    assert "stroke: #000000" in svg.partition('id="PathCollection_1"')[2]


def test_only_what_helps_or_hurts_has_a_strong_colour():
    verdict = ("helps", "hurts", "negligible", "unresolved")
    helps, hurts, negligible, unresolved = map(strength, cells(made_map([6, -6, 6, -6], verdict)))
    assert min(helps, hurts) > 0.3
    assert max(negligible, unresolved) < 0.15


def test_noise_is_pale_and_its_scale_is_that_of_the_intervals():
    """Intervals reach 2 to either side: an importance of 1 has a quarter of the full colour."""
    noise = made_map([1, -1, 0.5, 1], ["unresolved"] * 4)
    assert max(map(strength, cells(noise))) < 0.1
    assert {"4", "−4"} <= set(texts(partial(draw_importance, noise)))  # noqa: RUF001
    wide = noise.verdicts.model_copy(update={"margin": 10.0})
    found = texts(partial(draw_importance, noise.model_copy(update={"verdicts": wide})))
    assert "20" in found


def test_a_map_of_one_training_seed_is_pale_and_says_what_its_intervals_hold_for():
    one_seed = made_map([9, -9], ["helps", "unresolved"])
    verdicts = one_seed.verdicts.model_copy(update={"covers": "masks"})
    one_seed = one_seed.model_copy(update={"verdicts": verdicts})
    assert max(map(strength, cells(one_seed))) < 0.15
    found = texts(partial(draw_importance, one_seed))
    assert "no verdicts: intervals hold for this training seed only" in found
    assert "helps" not in found


@pytest.mark.parametrize(("reliability", "pale"), [(0.2, True), (None, True), (0.8, False)])
def test_a_map_without_verdicts_is_as_strong_as_its_ranking(reliability, pale):
    quality = A_MAP.quality.model_copy(update={"reliability": reliability})
    ridge = made_map([6, -6], quality=quality)
    assert (max(map(strength, cells(ridge))) < 0.15) == pale


def test_colour_bar_and_legend_stand_above_a_tall_map():
    tall = made_map(np.ones(400), ["helps"] * 400, n_demos=200)
    root = ElementTree.fromstring(drawn(partial(draw_importance, tall)))
    heights = {}
    for text in root.iter(f"{SVG}text"):
        place = re.search(
            r"(?:translate\([\d.-]+ |y=\")([\d.]+)", ElementTree.tostring(text).decode()
        )
        heights["".join(text.itertext())] = float(place[1])
    assert heights["importance (episode return)"] < heights["helps"] < 150
    assert heights["frame"] > 1500


def n_marks(importance_map: ImportanceMap) -> list[int]:
    root = ElementTree.fromstring(drawn(partial(draw_importance, importance_map)))
    groups = [g for g in root.iter(f"{SVG}g") if g.get("id", "").startswith("PathCollection")]
    return [
        len(list(group.iter(f"{SVG}use"))) or len(list(group.iter(f"{SVG}path")))
        for group in groups
    ]


def test_what_was_not_estimated_has_no_mark():
    assert n_marks(made_map([1, np.nan, -1, 2], ["helps", "helps", "hurts", "helps"])) == [2, 1, 0]


def test_cells_too_small_for_marks_get_lines():
    rng = np.random.default_rng(0)
    values = rng.normal(size=2000)
    verdict = np.where(values > 1, "helps", np.where(values < -1, "hurts", "unresolved")).tolist()
    small = made_map(values, verdict, n_demos=2)
    found = texts(partial(draw_importance, small))
    assert {"line above: helps", "line below: hurts"} < set(found)
    assert "pale, no line: negligible or unresolved" in found
    assert "helps" not in found
    assert n_marks(small) == []


def test_lines_lie_above_what_helps_and_below_what_hurts():
    verdict = ["helps"] * 300 + ["hurts"] * 300
    pixels = imread(
        io.BytesIO(drawn(partial(draw_importance, made_map([0.0] * 600, verdict)), "png"))
    )
    dark = pixels[..., :3].max(axis=2) < 0.6
    wide = dark.shape[1]
    left = np.flatnonzero(dark[:, wide // 8 : wide * 3 // 8].all(axis=1))
    right = np.flatnonzero(dark[:, wide * 5 // 8 : wide * 7 // 8].all(axis=1))
    only_left, only_right = set(left) - set(right), set(right) - set(left)
    assert only_left
    assert only_right
    assert max(only_left) < min(only_right)


def test_a_large_map_makes_a_small_svg():
    values = np.random.default_rng(0).normal(size=2000)
    values[::7] = np.nan
    verdict = ["helps", "hurts"] * 1000
    for n_demos in (2, 20, 100):
        large = made_map(values, verdict, n_demos=n_demos)
        assert len(drawn(partial(draw_importance, large))) < 1_500_000


@pytest.mark.parametrize("values", [[0.0, 0.0], [np.nan, np.nan], [1e9, -1e-9]])
def test_odd_maps_are_drawn(values):
    assert "frame" in texts(partial(draw_importance, made_map(values, ["unresolved"] * 2)))


def test_a_map_that_knows_an_order_only_has_no_sign():
    order = A_MAP.estimator.model_copy(update={"sign": "order_only", "name": "rise"})
    found = texts(partial(draw_importance, made_map([1, 2, 3], estimator=order)))
    assert "importance (order only)" in found
    assert "helps" not in found


def test_names_are_never_mathematics():
    environment = A_MAP.study.environment.model_copy(update={"id": "my:$x_1$ <b>&"})
    study = A_MAP.study.model_copy(update={"environment": environment})
    found = texts(partial(draw_importance, made_map([1, 2], study=study)))
    assert any(text.startswith("my:$x_1$ <b>&, toys:Additive") for text in found)


@pytest.mark.parametrize("decided", ["pass", "right_at_bottom", "fail", "undecided"])
def test_only_decided_cells_of_a_transfer_are_coloured(decided):
    """The largest share, 120 %, has the deepest blue unless it is undecided."""
    found = drawn(partial(draw_transfer, made_transfer(decided)))
    assert (b"#08306b" in found) == (decided != "undecided")


def test_a_map_is_saved_as_svg(tmp_path):
    A_MAP.save(tmp_path / "map.svg")
    assert (tmp_path / "map.svg").read_bytes() == drawn(FIGURES["importance"])


def test_results_with_parts_missing_are_drawn():
    bare = made_certificate(luck_p=None, baseline=Baseline(), map_algorithm="bc", outcome="fail")
    found = texts(partial(draw_certificate, bare))
    assert "Fail (bc)" in found
    assert "all frames" not in found
    unconfirmed = made_curation(outcome="no_gain", confirmation=None)
    found = texts(partial(draw_curation, unconfirmed))
    assert "No gain (bc)" in found
    assert "confirmed with fresh seeds" not in found
    untried = made_curation(outcome="no_gain", confirmation=None, trials=())
    assert "No segment seems to hurt: nothing was tried." in texts(partial(draw_curation, untried))


def test_the_other_map_follows_from_a_comparison():
    first = FIRST.model_copy(update={"study_hash": "sha256:a"})
    second = SECOND.model_copy(update={"study_hash": "sha256:b"})
    found = compare(first, second)
    for pair in (both_maps(found, first), both_maps(found, second)):
        for got, want in zip(pair, (first, second), strict=True):
            np.testing.assert_allclose(got.importance, want.importance, atol=1e-12)
            np.testing.assert_allclose(got.std_error, want.std_error, atol=1e-12)
    assert both_maps(found, FIRST) is None
