"""Sentences against paired t-tests of scipy with Holm's correction computed here."""

from __future__ import annotations

import json
import re
import statistics
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from fewshot.evaluation.paired_tests import Difference
from fewshot.report.formatting import Finding
from fewshot.report.studies import findings, gathering, pages, results, writing
from tests.fewshot.report.studies.reading import study
from tests.fewshot.study_results import Planned, cell, record, row, save


def test_the_winner_and_its_leads_are_paired_and_corrected(
    reported: tuple[Planned, Path, Path],
) -> None:
    planned, saved, _ = reported
    finding = next(
        one
        for one in findings.winners(study(planned, saved, "kshot"))
        if "16 labels" in one.sentence
    )
    shown = {
        "experts": "K8 (ConvNeXt-Tiny, fine-tuned, method experts)",
        "protonet": "K9 (nearest mean of frozen features, not trained)",
        "siamese": "K10 (cosine to the class mean of frozen features, not trained)",
        "maml": "K11 (softmax regression on frozen features by 50 gradient steps, not trained)",
    }
    raw: dict[frozenset[str], float] = {}
    for group in results.groups(
        run for one in study(planned, saved, "kshot").rows for run in one.cells
    ).values():
        for one, other in combinations(group, 2):  # every pair of cells, not of rows
            values = [run.measured.scores["accuracy"].values for run in (one, other)]
            pair = frozenset((one.measured.run_id, other.measured.run_id))
            raw[pair] = stats.ttest_rel(*values).pvalue
    order = sorted(raw, key=lambda pair: raw[pair])
    adjusted: dict[frozenset[str], float] = {}
    for rank, pair in enumerate(order):
        adjusted[pair] = max([min(1, (len(raw) - k) * raw[order[k]]) for k in range(rank + 1)])
    runs = {name: record(f"{name}-16")["run_id"] for name in shown}
    at_16 = {name: record(f"{name}-16")["scores"]["accuracy"]["values"] for name in shown}
    first = max(at_16, key=lambda name: statistics.fmean(at_16[name]))
    best = at_16.pop(first)
    ahead = [
        name for name in at_16 if statistics.fmean(best) - statistics.fmean(at_16[name]) > 0.005
    ]
    assert len(ahead) >= 2
    for name in ahead:
        gaps = [a - b for a, b in zip(best, at_16[name], strict=True)]
        half = stats.t.ppf(0.975, 9) * statistics.stdev(gaps) / 10**0.5
        p = adjusted[frozenset((runs[first], runs[name]))]
        p_text = "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"
        words = f"{shown[name]}: lead {statistics.fmean(gaps):.4f} ± {half:.4f} (n = 10, {p_text})"
        assert f"better than {words}" in finding.details
    assert finding.sentence.startswith(
        f"With 16 labels per class of cifar10, {shown[first]} has the highest accuracy of"
    )


def test_few_trials_are_reported_as_too_few(reported: tuple[Planned, Path, Path]) -> None:
    planned, saved, _ = reported
    winners = findings.winners(study(planned, saved, "experts"))
    untested = [detail for one in winners for detail in one.details if "not tested" in detail]
    assert sum("1 common trial, and a test needs 3" in detail for detail in untested) == 2
    assert sum("2 common trials, and a test needs 3" in detail for detail in untested) == 1
    tested = 0
    for group in results.groups(
        run for one in study(planned, saved, "experts").rows for run in one.cells
    ).values():
        for one, other in combinations(group, 2):
            seeds = set(one.measured.seeds) & set(other.measured.seeds)
            tested += len(seeds) >= 3
    assert winners[-1].sentence.startswith(
        f"The p-values are corrected (Holm) for {tested} comparisons: every pair"
    )


def test_two_that_hardly_differ_are_the_same_or_not_surely_apart(tmp_path: Path) -> None:
    one = row("kshot", "K9", "Two")
    cells = [cell(name, name, place) for place, name in enumerate("abc")]
    draw, given = np.random.default_rng(0), record("probe-16")["scores"]["accuracy"]["values"]
    for asked, spread, lower in zip(cells, (0, 0.001, 0.05), (0, 0, 0.01), strict=True):
        values = [value - lower + draw.normal(0, spread) for value in given]
        save(tmp_path, one, asked, of_run(asked.name, values))
    (finding, _) = findings.of_row(gathering.gather([(one, cells)], tmp_path, "small")[0].rows[0])
    same, unsure = finding.details
    assert re.match(r"the same, within 0\.005, as \"[ab]\": lead 0\.000\d ± 0\.00", same)
    assert re.match(r"not significantly better than \"c\": lead 0\.0\d+ ± 0\.0\d+", unsure)


def of_run(run: str, values: list[float]) -> dict[str, Any]:
    """Return a record with these accuracies of the first seeds."""
    content = record("probe-16")
    content |= {"run_id": run, "seeds": content["seeds"][: len(values)]}
    accuracy = content["scores"]["accuracy"] | {"values": values, "mean": statistics.fmean(values)}
    content["scores"] = {"accuracy": accuracy}
    return json.loads(json.dumps(content))


def findings_about(tmp_path: Path, runs: dict[str, tuple[str, list[float]]]) -> list[Finding]:
    """Return the findings about a row whose settings have these runs."""
    one = row("kshot", "K9", "Some")
    cells = [cell(name, name, place) for place, name in enumerate(runs)]
    for asked, (run, values) in zip(cells, runs.values(), strict=True):
        save(tmp_path, one, asked, of_run(run, values))
    return findings.of_row(gathering.gather([(one, cells)], tmp_path, "small")[0].rows[0])


def test_a_run_that_two_settings_share_competes_once(tmp_path: Path) -> None:
    runs = {"a": ("x", [0.5, 0.6, 0.7]), "b": ("x", [0.5, 0.6, 0.7]), "c": ("y", [0.4, 0.5, 0.7])}
    finding, corrected = findings_about(tmp_path, runs)
    assert '"a" has the highest accuracy of 2 settings' in finding.sentence
    (detail,) = finding.details
    assert '"c": lead 0.0667' in detail
    assert "corrected (Holm) for 1 comparison:" in corrected.sentence


def test_a_setting_with_few_easy_trials_is_not_called_the_best(tmp_path: Path) -> None:
    many = [0.80, 0.82, 0.81, 0.50, 0.52, 0.51]
    runs = {"few": ("x", [0.79, 0.80, 0.80]), "many": ("y", many)}
    (finding, _) = findings_about(tmp_path, runs)
    assert '"many" is the best of 2 settings over common trials: 0.6600' in finding.sentence
    assert '"few": lead 0.0133' in finding.details[0]


def test_smoke_stands_beside_no_reported_number(tmp_path: Path) -> None:
    one, asked = row("kshot", "K9", "Prototypical network"), cell("all", "all", accuracy=0.46)
    save(tmp_path, one, asked, record("protonet-16"), scale="smoke")
    (study_results,) = gathering.gather([(one, [asked])], tmp_path, "smoke")
    assert findings.summary(study_results)[0].startswith(
        "Scale smoke only shows that everything runs"
    )
    assert (
        "difference"
        not in writing.markdown(pages.page(study_results)).split("| setting")[1].split("\n")[0]
    )


def test_leads_of_either_sign_are_ordered_as_numbers() -> None:
    means = (0.0, 0.0, 0.0, -0.001, -0.01, 0.002)
    others = [
        findings.Behind(f"s{i}", Difference(5, mean, 0.1, 0.9)) for i, mean in enumerate(means)
    ]
    *named, last = findings._listed("as good as", others)
    assert len(named) == findings.MOST_NAMED == 3
    assert last == "as good as 3 more: lead -0.0100 to 0.0020"
    *_, alone = findings._listed("as good as", others[:4])
    assert alone == "as good as 1 more: lead -0.0010"
