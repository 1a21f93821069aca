"""Forecasts of learning curves: curves from a known law, and records whose answer is known."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from episodes.errors import UserError
from fewshot.report.forecasting import (
    model as forecast,
    learning_curve,
    answer as needs,
    report as sample_size,
)
from tests.fewshot.report.test_comparison import record

ROOT = Path(__file__).parents[3]
LEARNERS = ROOT / "reports" / "records" / "learners"
SHOTS = (1, 2, 4, 8, 16, 32, 64)


def at(shots: int, values: tuple[float, ...], method: str = "probe", **more) -> dict:
    """A record of two classes with so many labels each."""
    return record(method, values, shots=shots, labels=2 * shots, run_id=f"{method}-{shots}", **more)


def law(
    a: float, b: float, c: float, shots=SHOTS, draws: int = 5, noise: float = 0.001, seed: int = 0
) -> list[dict]:
    """Records of a - b n^-c; a seed's errors fall as n^-0.5 and are alike (0.6) at n and 2n, as nested subsets' are."""
    rng = np.random.default_rng(seed)
    found, error = [], rng.standard_normal(draws)
    for place, n in enumerate(shots):
        if place:
            alike = 0.6 ** np.log2(n / shots[place - 1])
            error = alike * error + np.sqrt(1 - alike**2) * rng.standard_normal(draws)
        found.append(at(n, tuple(float(each) for each in a - b * n**-c + noise * n**-0.5 * error)))
    return found


def curve(records: list[dict]) -> learning_curve.Curve:
    (found,) = learning_curve.gather(records)
    return found


def test_a_known_law_is_found_again() -> None:
    found = needs.answer(curve(law(0.85, 0.4, 0.5)), 0.81, at=[1024])
    for point in found.forecast:
        truth = 0.85 - 0.4 * point.labels**-0.5
        assert point.accuracy == pytest.approx(truth, abs=0.006)
        assert point.low < truth < point.high
    assert [point.labels for point in found.forecast] == [128, 256, 512, 1024]
    truth = (0.4 / 0.04) ** 2
    assert found.kind == "reached"
    assert found.needed.labels == pytest.approx(truth, rel=0.15)
    assert found.needed.low < truth < found.needed.high
    assert re.match(
        r"to reach 0.81 expect about \d{2,3} labels a class \(\d\d to \d{3}\); measured up to 64",
        found.words,
    )


def covered(strays: tuple[float, ...], seed: int) -> bool:
    """Whether a curve's accuracy at four times its labels lies in the interval given for it.

    The curve: a law drawn at random, of the accuracy or of its log-odds, and around it a random walk.
    """
    rng = np.random.default_rng(seed)
    shots = SHOTS[: rng.integers(4, 8)]
    counts = np.array([*shots, 4 * shots[-1]])
    rest, ceiling, first = (
        counts ** -rng.uniform(0.25, 0.8),
        rng.uniform(0.6, 0.97),
        rng.uniform(0.15, 0.5),
    )
    if rng.random() < 0.5:
        truth = ceiling - (ceiling - first) * rest
    else:
        high, low = np.log(ceiling / (1 - ceiling)), np.log(first / (1 - first))
        truth = 1 / (1 + np.exp(-(high - (high - low) * rest)))
    steps = rng.standard_normal(len(shots)) * np.sqrt(np.diff(np.log2(counts))) * rng.choice(strays)
    truth[1:] += np.cumsum(steps)
    noise = [each["scores"]["accuracy"]["values"] for each in law(0, 0, 1, shots, 5, 0.04, seed)]
    shown = curve(
        [
            at(n, tuple(mean + np.array(off)))
            for n, mean, off in zip(shots, truth, noise, strict=False)
        ]
    )
    paths = np.concatenate([each.paths(counts[-1:]) for each in forecast.fit(shown)])
    low, high = np.quantile(paths, (0.025, 0.975))
    return low <= truth[-1] <= high


def test_the_interval_holds_the_truth_of_200_simulated_curves() -> None:
    assert 0.91 <= np.mean([covered(forecast.STRAYS, seed) for seed in range(200)]) <= 0.99


def test_the_interval_is_wider_than_it_need_be_for_curves_that_follow_a_law() -> None:
    assert np.mean([covered((0.0,), seed) for seed in range(50)]) >= 0.95


def test_more_noise_and_more_distance_widen_the_interval() -> None:
    def widths(noise: float) -> np.ndarray:
        points = needs.answer(curve(law(0.85, 0.4, 0.5, noise=noise))).forecast
        return np.array([point.high - point.low for point in points])

    assert (np.diff(widths(0.04)) > 0).all()
    assert (widths(0.04) > widths(0.001)).all()


def test_the_band_never_falls_and_a_higher_target_never_needs_fewer_labels() -> None:
    found = curve(law(0.8, 0.4, 0.4, noise=0.04))
    band = needs.answer(found).band
    for side in (band.low, band.middle, band.high):
        assert (np.diff(side) >= 0).all()
    assert (band.low <= band.middle).all()
    assert (band.middle <= band.high).all()
    needed = [needs.answer(found, target).needed for target in np.arange(0.45, 0.9, 0.05)]
    far = np.array([[np.inf if part is None else part for part in each] for each in needed])
    assert (far[1:] >= far[:-1]).all()
    assert (far[:, 0] <= far[:, 1]).all()
    assert (far[:, 1] <= far[:, 2]).all()


def test_where_the_noise_is_small_the_band_goes_through_what_was_measured() -> None:
    found = curve(
        [at(n, (y,) * 9) for n, y in zip((1, 4, 16, 64), (0.3, 0.5, 0.55, 0.7), strict=True)]
    )
    _, middle, _ = forecast.band(forecast.fit(found), 64).at(found.counts)
    assert middle == pytest.approx(found.means, abs=0.004)


def test_means_of_the_same_seeds_err_together() -> None:
    records = [
        at(8, (0.5, 0.52, 0.54, 0.56)),
        at(16, (0.6, 0.62)),
        at(64, (0.7, 0.71), seeds=[8, 9]),
    ]
    noise = curve(records).noise
    sd = np.sqrt(noise.diagonal())
    # the mean of seeds 0 to 3 and that of 0 and 1: 0.6 of the covariance of a draw, shared by 2 of 4 x 2 pairs
    assert noise[0, 1] / (sd[0] * sd[1]) == pytest.approx(0.6 * 2 / (4 * 2) * (4 * 2) ** 0.5)
    assert noise[0, 2] == noise[1, 2] == 0
    assert 0.01 < sd[0] * 4**0.5 < 0.04


@pytest.mark.parametrize("drop", [0.0, 0.1])
def test_a_flat_or_falling_curve_supports_no_number(drop: float) -> None:
    values = (0.48, 0.5, 0.52, 0.5)
    found = [
        at(n, tuple(each - drop * place for each in values)) for place, n in enumerate((2, 8, 32))
    ]
    answer = needs.answer(curve(found), 0.7)
    assert answer.kind == "no rise"
    assert answer.needed.labels is None
    assert "does not rise with labels" in answer.words


def test_two_numbers_of_labels_are_too_few() -> None:
    answer = needs.answer(curve([at(4, (0.4, 0.5)), at(16, (0.6, 0.7))]), 0.8)
    assert (answer.kind, answer.forecast, answer.band) == ("too few", [], None)
    assert answer.words.startswith(
        "measured at 4 and 16 labels a class only; a forecast needs 3 different numbers"
    )


def test_a_target_beyond_the_ceiling_is_said_to_be() -> None:
    answer = needs.answer(curve(law(0.7, 0.4, 1.0)), 0.9)
    assert answer.kind == "beyond"
    assert answer.needed == (None, None, None)
    assert "lies above the ceiling of the fitted curves, 0.67 to 0.72" in answer.words


def test_a_ceiling_that_is_not_visible_is_said_to_be() -> None:
    straight = [
        at(n, (0.3 + 0.05 * place, 0.32 + 0.05 * place)) for place, n in enumerate((1, 2, 4, 8))
    ]
    assert "ceiling is not visible yet" in needs.answer(curve(straight), 0.9).words


def test_far_beyond_what_was_measured_is_called_a_guess() -> None:
    found = curve(law(0.85, 0.4, 0.5))
    assert needs.answer(found, at=[1025]).words.endswith(
        "beyond 1024 labels a class all is a guess"
    )
    assert "guess" not in needs.answer(found, 0.8, at=[1024]).words


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_an_accuracy_of_all_or_nothing_is_survived(accuracy: float) -> None:
    answer = needs.answer(curve([at(n, (accuracy,) * 3) for n in (1, 4, 16)]), 0.9)
    assert answer.kind == ("no rise" if accuracy == 0 else "reached")


def test_what_was_measured_already_needs_no_forecast() -> None:
    answer = needs.answer(curve(law(0.85, 0.4, 0.5)), 0.7)  # truth: 7.1 labels
    assert answer.needed.labels == pytest.approx((0.4 / 0.15) ** 2, rel=0.1)
    assert needs.answer(curve(law(0.85, 0.4, 0.5)), 0.4).words.startswith(
        "0.4 is reached with the fewest labels"
    )


@pytest.mark.parametrize(
    ("count", "up", "down"),
    [(64, "64", "64"), (128.0, "128", "128"), (4.2, "5", "4"), (171.3, "180", "170")],
)
def test_numbers_of_labels_are_rounded_to_the_safe_side(count: float, up: str, down: str) -> None:
    assert (needs.labels(count), needs.labels(count, down=True)) == (up, down)


def test_fractions_become_labels_a_class_and_data_sets_stay_apart() -> None:
    found = [at(n, (0.3, 0.4)) for n in (1, 4)]
    found += [
        at(16, (0.5, 0.6), fraction=0.1) | {"shots": None},
        at(4, (0.1, 0.2), data="other", regime="episodic"),
    ]
    found += [at(n, (0.3, 0.4), provenance={"data_fingerprint": "g"}) for n in (1, 4, 5)]
    found += [at(1, (0.3, 0.4, 0.5)) | {"preset": "full"}]  # more draws than the other of one label
    one, other = learning_curve.gather(found)
    assert one.counts.tolist() == [1, 4, 16]
    assert one.means[0] == pytest.approx(0.4)
    assert other.counts.tolist() == [1, 4, 5]
    assert one.remarks == [
        "of several records at 1 the one with most draws counts",
        "preset few, not full, from 4 on",
    ]


def test_the_table_has_the_fewest_labels_first() -> None:
    rising, slow = law(0.85, 0.4, 0.5), law(0.8, 0.4, 0.4)
    found = [each | {"method": "slow"} for each in slow] + rising + [at(4, (0.5,), "alone")]
    answers = [needs.answer(each, 0.75) for each in learning_curve.gather(found)]
    text = sample_size.markdown(sorted(answers, key=sample_size.order), 0.75)
    rows = [line.split("|")[1].split()[0] for line in text.splitlines() if line.startswith("|")][2:]
    assert rows == ["probe", "slow", "alone"]
    assert "labels for 0.75" in text
    assert "| not known |" in re.sub(" +", " ", text)


def plan(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fewshot", "forecast", *map(str, words)],
        capture_output=True,
        text=True,
    )


def test_the_command_answers_from_real_records_in_two_seconds(tmp_path: Path) -> None:
    shown = [LEARNERS / f"probe-{shots}.json" for shots in (1, 2, 4, 8, 16)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = plan(*shown, "--target", 0.7, "--at", "64,128", "--json")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
    (found,) = json.loads(done.stdout)
    truth = {
        n: json.loads((LEARNERS / f"probe-{n}.json").read_text())["scores"]["accuracy"]["mean"]
        for n in (64, 128)
    }
    points = {point["labels"]: point for point in found["forecast"]}
    assert list(points) == [32, 64, 128]
    for n, accuracy in truth.items():
        assert points[n]["low"] < accuracy < points[n]["high"]
    assert found["target"]["low"] < 32  # 0.7055 were measured there
    assert 16 < found["target"]["labels"] < 64


def test_figures_and_the_same_answer_twice(tmp_path: Path) -> None:
    places = [LEARNERS / f"probe-{shots}.json" for shots in (1, 2, 4, 8, 16)]
    text, (svg, png) = sample_size.tell(places, 0.8, [], tmp_path / "a", False)
    again, (other, _) = sample_size.tell(places, 0.8, [], tmp_path / "b", False)
    assert text == again
    assert svg.read_bytes() == other.read_bytes()
    assert (svg.name, png.name) == ("forecast-cifar10.svg", "forecast-cifar10.png")
    assert "<!-- probe mini-resnet pretrained -->" in svg.read_text()
    assert matplotlib.image.imread(png).std() > 0.05


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            [LEARNERS, "--target", 90],
            "--target 90 is no accuracy between 0 and 1: write 90% as 0.9.",
        ),
        (
            [LEARNERS, "--at", "many"],
            "--at many: whole numbers of labels a class were expected, as in --at 64,128.",
        ),
        ([LEARNERS, "--at", "0"], "--at 0: whole numbers"),
        (["nowhere"], "nowhere does not exist"),
    ],
)
def test_a_wrong_request_gets_a_sentence(words: list[object], said: str) -> None:
    done = plan(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("fewshot: ")
    assert said in done.stderr
    assert done.stdout == ""


def test_episodic_records_are_no_learning_curve(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(json.dumps(at(4, (0.5, 0.6), regime="episodic")))
    with pytest.raises(UserError, match="low-data regime"):
        sample_size.tell([tmp_path], 0.9, [], None, False)
