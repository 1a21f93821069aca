"""The page of the episodic regime. Oracle: its parts written out by hand for known records."""

from __future__ import annotations

from dataclasses import replace

from scipy import stats

from fewshot.report.episodic import groups, page
from fewshot.report.episodic.groups import Group
from tests.fewshot.report.episodic.synthetic import METHODS, result, results


def test_each_part_of_the_classes_has_its_own_section():
    some = results(30)
    novel = [replace(one, split="tinyimagenet", run_id=f"n{one.run_id}") for one in some[:4]]
    val = [replace(one, split="tinyimagenet", part="val", run_id=f"v{one.run_id}") for one in novel]
    sections = page.of_records([*some, *novel, *val])
    assert [(section.name, section.title) for section in sections] == [
        ("cifar10-novel", "5 novel classes of split tinyimagenet"),
        ("cifar10-val", "5 val classes of split tinyimagenet"),
        ("cifar10", "all 5 classes"),
    ]
    captions = [table.caption for table in sections[2].tables]
    accuracy = [one for one in captions if one.endswith("30 tasks, seed 0")]
    changes = [one for one in captions if "from balanced queries to Dirichlet" in one]
    assert (len(captions), len(accuracy), len(changes)) == (10, 4, 2)


def test_the_page_counts_results_and_names_the_best_of_each_kind():
    records = [result(name, n=200) for name in METHODS]
    made = page.page(page.of_records(records), records)
    assert made.counts == "4 results on 800 tasks in all"
    (sentence,) = made.findings
    scores = {one.name: one.accuracy.text() for one in records}
    assert sentence == (
        f"cifar10, all 5 classes, 5-way 1-shot, balanced queries: ridge {scores['ridge']} (best of "
        f"2 inductive methods) and pt-map {scores['pt-map']} (best of 2 transductive methods)."
    )


def test_a_lead_that_the_tasks_do_not_show_is_not_claimed():
    one = result("ridge")
    equal = Group([one, replace(one, name="other", run_id="2")])
    (sentence,) = page.best_of(groups.pool_of(one), equal)
    assert "not significantly better than all others" in sentence
    assert page.best_of(groups.pool_of(one), Group([one])) == []


def test_the_first_table_names_the_best_method_of_each_kind():
    records = [result(name, n=200) for name in METHODS]
    made = page.page(page.of_records(records), records)
    assert made.headline is not None
    rows = [{name: cell.text for name, cell in zip(made.headline.columns, row, strict=True)}
            for row in made.headline.rows]  # fmt: skip
    scores = {one.name: one.accuracies for one in records}
    assert [(row["kind"], row["best method"]) for row in rows] == [
        ("inductive", "ridge"),
        ("transductive", "pt-map"),
    ]
    for row in rows:
        lead = 100 * (scores[row["best method"]] - scores[row["second"]])
        half = stats.t.ppf(0.975, 199) * lead.std(ddof=1) / 200**0.5
        assert row["lead"] == f"{lead.mean():+.2f} ± {half:.2f}"
        assert row["number of tasks"] == "200"
    alone = [result("ridge")]
    assert page.page(page.of_records(alone), alone).headline is None


def test_many_groups_of_tasks_are_counted_and_not_listed():
    some = results(30)
    some += [replace(one, split="tinyimagenet", run_id=f"n{one.run_id}") for one in some[:4]]
    made = page.page(page.of_records(some), some)
    assert made.headline is not None
    certain = sum(row[-1].text == "yes" for row in made.headline.rows)
    (sentence,) = made.findings
    assert sentence.startswith(f"In {certain} of {len(made.headline.rows)} comparisons")
