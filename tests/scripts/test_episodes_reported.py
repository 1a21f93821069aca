"""Results beside reported ones. Oracles: scipy's interval over trainings, and pairs by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import stats

from fewshot.evaluation import task_scores
from fewshot.runs.episodic.record import EpisodesRecord, Training
from scripts import episodes_reported
from tests.fewshot.report.episodic.synthetic import result
from tests.fewshot.runs.episodic.handmade import record


def trained(method: str, background: str, seed: int, correct: list[int]) -> EpisodesRecord:
    return record(
        correct,
        method=method,
        n_queries=20,
        accuracy=task_scores.over_tasks(correct, 20),
        training=Training(method, [background], 136, 2720, seed, 1000, None, 60.0),
        config={
            "augment": [{"name": "stroke_width"}],
            "train": {"turned_classes": True},
            "backbone": {"centre": True, "views": "turn-zoom"},
        },
        run_id=f"{method}{background}{seed}",
    )


RUNS = [
    trained("protonet", background, seed, [17 + seed % 2, 18, 16])
    for background in ("omniglot-small1", "omniglot-small2")
    for seed in range(5)
] + [trained("siamese", "omniglot-small1", seed, [12, 13, 14 + seed]) for seed in range(5)]


def test_errors_are_means_over_trainings_of_one_background_set():
    rows = episodes_reported.challenge(RUNS)
    additions = "stroke width, turned classes, centred drawings, views turn-zoom"
    assert [(row.name, row.background, len(row.errors)) for row in rows] == [
        (f"protonet, {additions}", "omniglot-small1", 5),
        (f"protonet, {additions}", "omniglot-small2", 5),
        (f"siamese, {additions}", "omniglot-small1", 5),
    ]
    errors = np.array([100 * (1 - np.mean([12, 13, 14 + seed]) / 20) for seed in range(5)])
    assert np.allclose(rows[2].errors, errors)
    assert np.isclose(rows[2].half, stats.sem(errors) * stats.t.ppf(0.975, 4))


def test_reported_errors_are_marked_and_sorted_among_the_measured_ones():
    text = episodes_reported.omniglot(RUNS)
    assert text.endswith(
        "All trainings have: stroke width, turned classes, centred drawings, views turn-zoom."
    )
    lines = [line for line in text.splitlines()[2:] if line.startswith("|")]
    names = [line.split(" | ")[0].strip("| ") for line in lines]
    assert names[:3] == ["*Bayesian program learning*", "*people*", names[2]]
    assert names[2] == "protonet"
    without = {"backbone": {"centre": False, "views": "none"}}
    plain = [replace(one, config=without) if one.method == "siamese" else one for one in RUNS]
    text = episodes_reported.omniglot(plain)
    assert "| protonet, stroke width, turned" in text
    assert "| siamese |" in text
    untrained = replace(RUNS[0], training=None, name="nothing", run_id="none")
    with_it = episodes_reported.omniglot([*RUNS, untrained])
    assert "All trainings have: stroke width, turned" in with_it
    assert any(line.startswith("| nothing, ") for line in with_it.splitlines())
    sentence = episodes_reported.below_the_anchor([*RUNS, untrained])
    assert sentence == episodes_reported.below_the_anchor(RUNS)
    assert names.index("*simple convolutional network*") == 4
    reported = [line for line in lines if line.startswith("| *")]
    assert len(reported) == len(episodes_reported.ANCHORS)
    assert all("*reported elsewhere*" in line for line in reported)


def test_the_sentence_names_the_systems_whose_whole_interval_is_below():
    text = episodes_reported.below_the_anchor(RUNS)
    assert text.endswith(": protonet after every background set.")
    worse = [one for one in RUNS if one.method == "siamese"]
    assert "No system is below 23%" in episodes_reported.below_the_anchor(worse)
    assert episodes_reported.below_the_anchor([]) == "Not measured yet."


def method(name: str, shift: int, spread: int = 0) -> EpisodesRecord:
    base = result("ridge", n=200)
    noise = np.random.default_rng(len(name)).permutation([-spread, spread] * 100)
    correct = (np.array(base.correct) + shift + noise).tolist()
    return replace(
        base,
        method=name,
        name=name,
        run_id=name,
        backbone="conv4",
        correct=correct,
        accuracy=task_scores.over_tasks(correct, 75),
    )


def test_only_pairs_whose_order_the_paper_shows_are_counted():
    # The paper's intervals leave baseline++ and matching open; protonet is below both.
    records = [method("baseline++", 3), method("matching", 6), method("protonet", 5)]
    text = episodes_reported.order(records)
    assert text == (
        "- conv4, 1-shot: 1 of 2 pairs as in the paper (matching above protonet); 1 the other way "
        "round (protonet above baseline++). From the worst to the best are 4.0 points here and "
        "3.8 in the paper."
    )
    equal = [method("baseline++", 0, 5), method("protonet", 0, 5), method("matching", 9)]
    assert "1 without a significant difference here" in episodes_reported.order(equal)
    assert "leave every order open" in episodes_reported.order(records[:2])
