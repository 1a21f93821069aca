"""The report of a study from result files: numbers, sentences, pages; the results are made from published records."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from episodes.errors import UserError
from fewshot.evaluation.statistics import difference, holm
from fewshot.report.plots import study_plots as study_drawing
from fewshot.report.studies import (
    findings,
    results as gathered,
    html,
    reported,
    tables as row_tables,
    report as studies,
    figures as study_figures,
    writing as written,
)
from tests.fewshot import study_results
from tests.fewshot.study_results import RECORDS, Planned, cell, record, row, save

ROOT = Path(__file__).parents[3]


class Page(HTMLParser):
    """Tables as lists of rows of cells, tags that are open, attributes by tag, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Planned, Path, Path]:
    """Three studies, their results, and the folder with their report."""
    folder = tmp_path_factory.mktemp("report")
    found, out = folder / "results", folder / "out"
    planned = (
        study_results.kshot(found) + study_results.experts(found) + study_results.searched(found)
    )
    assert studies.report(planned, out, False, "small", found) == 0
    return planned, found, out


def study(planned: Planned, found: Path, name: str) -> gathered.Study:
    return next(each for each in gathered.gather(planned, found, "small") if each.name == name)


def expected(content: dict[str, Any], told: float) -> dict[str, str]:
    """What a table must print, from a record's raw values alone."""
    values = content["scores"]["accuracy"]["values"]
    middle, n = statistics.fmean(values), len(values)
    cells = {"measured": f"{middle:.4f}", "n": str(n), "difference": f"{middle - told:+.4f}"}
    if n > 1:
        spread = statistics.stdev(values)
        half = stats.t.ppf(0.975, n - 1) * spread / n**0.5
        cells["measured"] += f" ± {spread:.4f}"
        cells["95% interval"] = f"{max(0, middle - half):.4f} to {min(1, middle + half):.4f}"
    cells["seconds a draw"] = (
        f"{content['cost']['train_seconds'] + content['cost']['adapt_seconds']:.1f}"
    )
    return cells


def rows_of(text: str, kind: str) -> list[dict[str, str]]:
    """Every row of every table that names a run, as column -> text."""
    if kind == "html":
        tables = Page(text).tables
    elif kind == "md":
        blocks = re.findall(r"(?:^\|.*\n)+", text, re.M)
        lines = [
            [line for line in each.splitlines() if not line.startswith("|:--")] for each in blocks
        ]
        tables = [
            [[one.strip() for one in line.strip("|").split("|")] for line in each] for each in lines
        ]
    else:
        bodies = re.findall(r"\\toprule\n(.*?)\\bottomrule", text, re.S)
        lines = [[line for line in body.splitlines() if line.endswith(r"\\")] for body in bodies]
        tables = [
            [[one.strip() for one in line.removesuffix(r"\\").split(" & ")] for line in each]
            for each in lines
        ]
    return [
        dict(zip(table[0], each, strict=True))
        for table in tables
        if "run" in table[0]
        for each in table[1:]
    ]


def plain(text: str) -> str:
    text = re.sub(r"\\textbf\{(.*)\}", r"\1", text.replace(r"$\pm$", "±").replace("$-$", "-"))
    return text.replace("**", "").replace(r"95\%", "95%")


@pytest.mark.parametrize("kind", ["md", "html", "tex"])
def test_every_number_is_that_of_the_raw_records(
    told: tuple[Planned, Path, Path], kind: str
) -> None:
    _, _, out = told
    by_run = {
        each["run_id"]: each
        for each in (json.loads(path.read_text()) for path in RECORDS.glob("*.json"))
    }
    names = ["index.html"] if kind == "html" else [f"kshot.{kind}", f"experts.{kind}"]
    rows = [{plain(key): plain(each) for key, each in one.items()} for name in names
            for one in rows_of((out / name).read_text(), kind)]  # fmt: skip
    rows = [each for each in rows if "step" not in each["cell"]]
    assert len(rows) == 4 + 6 + 14
    for each in rows:
        told_accuracy = float((each.get("reported") or "0").split()[0])
        wanted = expected(by_run[each["run"]], told_accuracy)
        if not each.get("reported"):
            wanted.pop("difference")
        assert {key: each[key] for key in wanted} == wanted


def test_an_interval_of_two_draws_stays_within_what_an_accuracy_can_be() -> None:
    score = {"mean": 0.2, "std": 0.15, "ci95": 1.38}
    assert row_tables._interval(score).text == "0.0000 to 1.0000"  # type: ignore[arg-type]


def test_the_best_of_a_table_is_bold_and_alone_none_is(told: tuple[Planned, Path, Path]) -> None:
    text = (told[2] / "kshot.md").read_text()
    assert re.findall(r"\| ([^|]*) \| \S+ \| \*\*", text) == ["method experts"]


def test_budgets_are_never_in_one_table_and_captions_say_what_is_shared(
    told: tuple[Planned, Path, Path],
) -> None:
    for name in ("kshot", "experts"):
        text = (told[2] / f"{name}.md").read_text()
        for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
            lines = [
                [each.strip() for each in line.strip("|").split("|")] for line in block.splitlines()
            ]
            if "labels" in lines[0]:
                assert len({line[lines[0].index("labels")] for line in lines[2:]}) == 1
    text = (told[2] / "kshot.md").read_text()
    shared = "cifar10, 16 shots: 160 labels, 10 classes, low-data regime, judged on 10,000 test images; scale small"
    assert f"**{shared}**" in text
    for words in (
        "- data: these CIFAR-10 images are a JPEG re-encoding", "- assumed: 16 images a class; the test images judge",
        "- cut at scale small: 10 draws; mini-resnet instead", "scratch on conv4, random weights",
        "- in the report: slide 7", "- expected cost: 20 minutes a draw", "- note: The backbone that ships is smaller.",
    ):  # fmt: skip
        assert words in text


def test_metrics_that_the_report_states_have_columns_and_its_decimals(
    told: tuple[Planned, Path, Path],
) -> None:
    first = rows_of((told[2] / "experts.md").read_text(), "md")[2]
    content = record("finetune-p0.005")["scores"]
    assert first["reported"] == "0.2890 ± 0.0015"
    assert (first["f1, reported"], first["loss, reported"]) == ("0.2790", "2.00")
    values = content["f1"]["values"]
    assert first["f1"] == f"{statistics.fmean(values):.4f} ± {statistics.stdev(values):.4f}"
    assert "precision" not in first


def test_what_has_no_number_is_listed_with_its_reason(told: tuple[Planned, Path, Path]) -> None:
    text = (told[2] / "kshot.md").read_text()
    assert (
        "Failed, 1 of 5 cells: method sgd\\_b \\[reported: accuracy 0.59\\]. Reason: the loss became infinite"
        in text
    )
    assert (
        "Not run, 2 of 2 cells: lr 1 \\[reported: accuracy 0.41, train accuracy 0.94\\]; lr 2"
        in text
    )
    assert "Reason: ImageNet weights of resnet18 are not on this machine." in text
    assert "Not yet run: best of K8." in text
    for line in ("- Failed: K8 (1 of 5 cells).", "- Not run: K7.", "- Not yet run: K15."):
        assert line in text


# sentences


def test_the_winner_and_its_leads_are_paired_and_corrected(
    told: tuple[Planned, Path, Path],
) -> None:
    planned, found, _ = told
    sentence = next(
        each for each in findings.winners(study(planned, found, "kshot")) if "16 labelled" in each
    )
    shown = {
        "experts": "K8 (ConvNeXt-Tiny, fine-tuned, method experts)",
        "protonet": "K9 (Protonet)",
    }
    shown |= {"siamese": "K10 (Siamese)", "maml": "K11 (Maml)"}
    at_16 = {name: record(f"{name}-16")["scores"]["accuracy"]["values"] for name in shown}
    at_5 = {
        name: record(f"{name}-5")["scores"]["accuracy"]["values"]
        for name in ("protonet", "siamese", "maml")
    }
    first, first_5 = (max(at, key=lambda name: statistics.fmean(at[name])) for at in (at_16, at_5))
    best, best_5 = at_16.pop(first), at_5.pop(first_5)
    raw = {}
    for mark, of_best, others in (("16", best, at_16), ("5", best_5, at_5)):
        for name, other in others.items():
            raw[name, mark] = stats.ttest_rel(of_best, other).pvalue
    order = sorted(raw, key=lambda each: raw[each])
    adjusted: dict[tuple[str, str], float] = {}
    for rank, name in enumerate(order):
        adjusted[name] = max([min(1, (len(raw) - k) * raw[order[k]]) for k in range(rank + 1)])
    ahead = [
        name for name in at_16 if statistics.fmean(best) - statistics.fmean(at_16[name]) > 0.005
    ]
    assert len(ahead) >= 2
    for name in ahead:
        gaps = [a - b for a, b in zip(best, at_16[name], strict=True)]
        half = stats.t.ppf(0.975, 9) * statistics.stdev(gaps) / 10**0.5
        p = adjusted[name, "16"]
        told_p = "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"
        words = f"{shown[name]} by {statistics.fmean(gaps):.4f} ± {half:.4f} (n = 10, {told_p})"
        assert words in sentence
    assert sentence.startswith(f"With 16 labelled images a class of cifar10, {shown[first]}")


def test_few_draws_are_said_to_be_too_few(told: tuple[Planned, Path, Path]) -> None:
    planned, found, _ = told
    sentences = findings.winners(study(planned, found, "experts"))
    assert sum("cannot be said from 1 common draw; 3 are needed" in each for each in sentences) == 2
    assert (
        sum("cannot be said from 2 common draws; 3 are needed" in each for each in sentences) == 1
    )
    assert sentences[-1] == "Each p is corrected for 4 comparisons (Holm)."


def test_reported_numbers_passed_and_not_reached(
    told: tuple[Planned, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    planned, found, _ = told
    first, passed, missed, cut = reported.sentences(study(planned, found, "kshot"))
    assert first == "7 reported accuracies were measured again here: 5 passed, 2 not reached."
    gain = statistics.fmean(record("maml-16")["scores"]["accuracy"]["values"]) - 0.14
    assert f"K11 by {gain:.4f}, more than its interval" in passed
    probe, scratch = (record(f"{name}-16")["scores"]["accuracy"] for name in ("probe", "scratch"))
    less = probe["mean"] - 0.71
    assert missed.startswith(
        f'Not reached: K8 "method probe" {probe["mean"]:.4f} against 0.71 ({less:+.4f} ± {probe["ci95"]:.4f});'
    )
    assert cut.startswith("Scale small cuts images, epochs or networks")
    monkeypatch.setattr(reported, "MOST_NAMED", 1)
    assert reported.sentences(study(planned, found, "kshot"))[2] == (
        f"Not reached: K8 2 of 4 by {-less:.4f} to {0.5 - scratch['mean']:.4f} (2 by more than the interval)."
    )


def test_two_that_hardly_differ_are_the_same_or_not_surely_apart(tmp_path: Path) -> None:
    one = row("kshot", "K9", "Two")
    cells = [cell(name, name, place) for place, name in enumerate("abc")]
    draw = np.random.default_rng(0)
    for asked, spread, lower in zip(cells, (0, 0.001, 0.05), (0, 0, 0.01), strict=True):
        content = record("probe-16")
        values = [
            value - lower + draw.normal(0, spread)
            for value in content["scores"]["accuracy"]["values"]
        ]
        content["scores"]["accuracy"] = {
            **content["scores"]["accuracy"],
            "values": values,
            "mean": np.mean(values),
        }
        save(tmp_path, one, asked, json.loads(json.dumps(content)))
    (sentence, _) = findings.of_row(gathered.gather([(one, cells)], tmp_path, "small")[0].rows[0])
    assert re.search(r"It is the same, within 0.005, as \"[ab]\", 0\.000\d ± 0\.00", sentence)
    assert re.search(r"It is not surely better than \"c\", 0\.0\d+ ± 0\.0\d+ behind", sentence)


def test_smoke_stands_beside_no_reported_number(tmp_path: Path) -> None:
    one, asked = row("kshot", "K9", "Prototypical network"), cell("all", "all", accuracy=0.46)
    save(tmp_path, one, asked, record("protonet-16"), scale="smoke")
    (found,) = gathered.gather([(one, [asked])], tmp_path, "smoke")
    assert findings.of_study(found)[0].startswith("Scale smoke shows that everything runs")
    assert (
        "difference"
        not in written.markdown(studies.pages.page(found)).split("| cell")[1].split("\n")[0]
    )


def test_holm_is_the_step_down_procedure() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    draw = np.random.default_rng(0)
    for _ in range(50):
        ps = (draw.random(6) ** 4).tolist()
        rejected = set()  # the paper's own wording: from the smallest on, stop at the first that is not below its level
        for rank, place in enumerate(np.argsort(ps).tolist()):
            if ps[place] > 0.05 / (len(ps) - rank):
                break
            rejected.add(place)
        assert {place for place, p in enumerate(holm(ps)) if p <= 0.05} == rejected


@pytest.mark.parametrize("values", [(0.5,), (0.1, 0.3), (0.2, 0.2, 0.2), (0.0, 0.0, 0.0)])
def test_a_difference_at_the_edges(values: tuple[float, ...]) -> None:
    found = difference(values)
    assert found.mean == pytest.approx(statistics.fmean(values))
    expected_p = {1: None, 2: stats.ttest_1samp((0.1, 0.3), 0).pvalue, 3: float(values[0] == 0)}[
        len(values)
    ]
    assert found.p == (None if expected_p is None else pytest.approx(expected_p))


# figures


def test_means_over_draws_that_ended_early() -> None:
    draws = np.array([[1.0, 2.0, 3.0], [3.0, 4.0, np.nan], [2.0, np.nan, np.nan]])
    middle, spread = study_drawing.over_draws(draws)
    assert middle.tolist() == [2.0, 3.0, 3.0]
    assert spread == pytest.approx([1.0, statistics.stdev([2.0, 4.0]), 0.0])


def test_figures_are_there_and_do_not_change(
    told: tuple[Planned, Path, Path], tmp_path: Path
) -> None:
    planned, found, out = told
    names = {str(path.relative_to(out / "figures")) for path in (out / "figures").rglob("*.svg")}
    assert names == {
        "kshot/reported.svg", "kshot/labels-shots.svg", "kshot/K3-times.svg", "kshot/K8-curves.svg",
        "experts/reported.svg", "experts/labels-fraction.svg", "hyperparameters/H5-lr.svg",
        "hyperparameters/H5-batch-size.svg",
    }  # fmt: skip
    again = tmp_path / "again"
    studies.report(planned, again, False, "small", found)
    for path in out.rglob("*.*"):
        assert (again / path.relative_to(out)).read_bytes() == path.read_bytes(), path


def test_box_plots_hold_what_is_not_varied(told: tuple[Planned, Path, Path]) -> None:
    page = studies.pages.page(study(told[0], told[1], "hyperparameters"))
    rates, sizes = page.sections[0].figures
    assert [[each.text for each in line[:3]] for line in rates.table.rows] == [
        [network, rate, "10"]
        for network in ("network H1", "network H2")
        for rate in ("0.01", "0.05", "0.5")
    ]
    assert [line[1].text for line in sizes.table.rows] == ["64", "128"]


# the page


def test_the_page_asks_for_nothing_and_is_well_formed(told: tuple[Planned, Path, Path]) -> None:
    text = (told[2] / "index.html").read_text()
    page = Page(text)
    assert page.open == []
    assert "http" not in re.sub(r"<svg.*?</svg>", "", text, flags=re.S)
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:,")), (tag, attributes)
    assert "@import" not in text
    assert re.findall(r"url\((?!#)", text) == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    targets = {
        attributes["href"][1:]
        for tag, attributes in page.tags
        if tag == "a" and attributes.get("href")
    }
    assert targets <= set(ids)
    assert {"kshot-K15", "experts-E11", "hyperparameters-H5"} <= targets
    titled = [
        attributes["id"] for tag, attributes in page.tags if tag == "title" and "id" in attributes
    ]
    pictures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(pictures) == 8
    assert all(each["role"] == "img" and each["aria-labelledby"] in titled for each in pictures)
    assert text.count("The numbers behind this figure") == 8
    for table in page.tables:
        assert len(table) > 1
        assert {len(line) for line in table} == {len(table[0])}


def test_a_row_that_asks_for_it_has_the_confusion_matrix_of_its_best_cell(tmp_path: Path) -> None:
    planned = study_results.kshot(tmp_path)
    (found,) = [each for each in study(planned, tmp_path, "kshot").rows if each.name == "K8"]
    assert not any("confusion" in each.name for each in study_figures.of_row(found))
    asked = found._replace(plan=found.plan.model_copy(update={"confusion": True}))
    first = study_figures.of_row(asked)[0]
    best = max((cell for cell in found.cells if cell.scored), key=gathered.mean)
    assert (first.name, first.title) == ("K8-confusion", f"K8: confusion matrix, {best.label}")
    counts = np.array(best.record["confusion"])  # type: ignore[index]
    shares = 100 * counts / counts.sum(1, keepdims=True)
    np.fill_diagonal(shares, 0)
    assert float(first.table.rows[0][3].text) == round(shares.max(), 1)
    (drawn,) = [
        path.read_text() for path in first.draw(tmp_path / "matrix") if path.suffix == ".svg"
    ]
    shown = html.inline(
        drawn, "matrix", first.alt
    )  # numbers keep their colours on the page, whose ground is its own
    for colour in ("#ffffff", "#111111"):
        assert (
            shown.count(f'<g style="fill: {colour}"')
            == drawn.count(f'<g style="fill: {colour}"')
            > 0
        )
    assert not re.search(r'<path [^>]*style="fill: #ffffff', shown)


def test_ids_of_figures_are_their_own(told: tuple[Planned, Path, Path]) -> None:
    page = Page((told[2] / "index.html").read_text())
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_colours_can_be_read_in_light_and_dark() -> None:
    text = (ROOT / "fewshot" / "report" / "page.html").read_text()
    blocks = re.findall(r":root \{(.*?)\}", text, re.S)[:2]
    assert len(blocks) == 2
    for block in blocks:
        colours = dict(re.findall(r"--(\w+): (#\w+)", block))
        for ink in ("ink", "soft", "link"):
            for under in ("page", "band", "best"):
                assert contrast(colours[ink], colours[under]) >= 4.5, (ink, under)
        for colour in study_drawing.COLOURS:
            assert contrast(colour, colours["page"]) >= 3


def contrast(one: str, other: str) -> float:
    """WCAG 2.1, relative luminance."""
    lights = []
    for colour in (one, other):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        parts = [
            part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        ]
        lights.append(0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


CLICKS = """<script>
addEventListener("load", () => {
  const table = document.querySelector("#kshot-K8").parentNode.querySelector("table.sortable");
  const heads = [...table.querySelectorAll("th")];
  const head = heads.find(each => each.textContent === "measured");
  const state = () => head.getAttribute("aria-sort") + ": "
    + [...table.tBodies[0].rows].map(row => row.cells[0].textContent).join(",");
  head.querySelector("button").click(); const up = state();
  head.querySelector("button").click(); const down = state();
  const wide = document.documentElement.scrollWidth > innerWidth ? "wide" : "fits";
  const buttons = heads.every(each => each.querySelector("button"));
  document.documentElement.setAttribute("data-seen", [up, down, buttons, wide].join(" | "));
});
</script></body>"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "size", ["1280,900", "500,844"]
)  # narrower than 500 a headless window does not become
def test_the_page_in_a_browser(told: tuple[Planned, Path, Path], tmp_path: Path, size: str) -> None:
    browser = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if browser is None:
        pytest.skip("no Chromium here: install the package chromium")
    page = tmp_path / "page.html"
    page.write_text((told[2] / "index.html").read_text().replace("</body>", CLICKS))
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
         f"--window-size={size}", "--enable-logging=stderr", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    seen = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert seen is not None
    rising = ["method scratch", "method probe", "method finetune", "method experts"]
    assert seen[1].split(" | ") == [
        f"ascending: {','.join(rising)}", f"descending: {','.join(rising[::-1])}", "true", "fits",
    ]  # fmt: skip
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []


# writing and checking


def test_check_tells_what_is_stale_and_figures_are_exempt(
    told: tuple[Planned, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planned, found, written_to = told
    out = shutil.copytree(written_to, tmp_path / "out")
    shutil.rmtree(out / "figures")
    assert studies.report(planned, out, True, "small", found) == 0
    assert "up to date" in capsys.readouterr().err
    assert not (out / "figures").exists()
    changed = shutil.copytree(found, tmp_path / "results")
    path = changed / "kshot" / "small" / "K9" / "shots=16.json"
    path.write_text(
        path.read_text()
        .replace('"reason": null', '"reason": "x"')
        .replace('"status": "done"', '"status": "failed"')
    )
    assert studies.report(planned, out, True, "small", changed) == 1
    stale = capsys.readouterr().err
    assert [name for name in ("kshot.md", "kshot.tex", "index.html", "README.md") if f"{name} is stale" in stale] == [
        "kshot.md", "kshot.tex", "index.html", "README.md",
    ]  # fmt: skip
    assert "experts.md is stale" not in stale
    with pytest.raises(UserError, match="--out"):
        studies.report(planned, None, True, "small", found)


def test_the_index_keeps_other_studies_and_leaves_a_page_written_by_hand(
    told: tuple[Planned, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planned, found, written_to = told
    out = shutil.copytree(written_to, tmp_path / "out")
    before = (out / "README.md").read_text()
    assert re.findall(r"^\| \[(\w+)\]", before, re.M) == ["experts", "hyperparameters", "kshot"]
    cut = "cut: 10 draws; mini-resnet instead of ConvNeXt-Tiny"
    less = [
        record(f"{name}-16")["scores"]["accuracy"]["mean"] - of
        for name, of in (("probe", 0.71), ("scratch", 0.5))
    ]
    assert (
        f"K8: {less[0]:.4f}, {less[1]:.4f} ({cut}. The backbone that ships is smaller)." in before
    )
    (out / "notes.md").write_text("# By hand\n")
    only = [each for each in planned if each[0].study == "kshot"]
    assert studies.report(only, out, False, "small", found) == 0
    assert (out / "README.md").read_text() == before + "\nOther pages:\n\n- [By hand](notes.md)\n"
    assert (out / "kshot.html").exists()
    (out / "README.md").write_text("# Mine\n")
    studies.report(only, out, False, "small", found)
    assert (out / "README.md").read_text() == "# Mine\n"
    assert "README.md was written by hand" in capsys.readouterr().err


def test_results_that_are_none_or_nobodys_or_of_changed_settings_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, asked = row("kshot", "K9", "Prototypical network"), cell("all", "all")
    save(tmp_path, one, asked, record("protonet-16"))
    save(tmp_path, one, cell("old", "old"), record("protonet-16"))
    now = asked._replace(settings={"method": "protonet"})
    assert studies.report([(one, [now])], None, False, "small", tmp_path) == 0
    told = capsys.readouterr()
    assert "kshot: 1 result of cells that it no longer has, left out" in told.err
    assert "the study file asks for other settings now than these ran with: all" in told.out
    assert studies.report([(one, [now])], None, False, "full", tmp_path) == 0
    assert "no results of scale full" in (err := capsys.readouterr().err)
    assert "there are some of scale small" in err
    (tmp_path / "kshot" / "small" / "K9" / "x.json").write_text("{}")
    with pytest.raises(UserError, match=r"x\.json is no result"):
        studies.report([(one, [now])], None, False, "small", tmp_path)


def test_the_command_tells_studies_from_records_and_never_imports_torch(tmp_path: Path) -> None:
    folder = tmp_path / "kshot"
    folder.mkdir()
    (folder / "K9.yaml").write_text(
        "title: Prototypical network\nquestion: What?\nsource: slide 1\nbase: {method: protonet, shots: 16}\n"
        "reported: [{accuracy: 0.46}]\nscales: {small: {cuts: [fewer draws]}}\n"
    )
    (planned,) = gathered.read([folder], "small")
    save(tmp_path / "results", planned[0], planned[1][0], record("protonet-16"))
    command = ["report", folder, "--results", tmp_path / "results", "--out", tmp_path / "out"]
    code = (
        "import sys\nfrom fewshot.cli import main\nsys.argv[0] = 'fewshot'\n"
        "try:\n    main.main()\nfinally:\n    print([m for m in ('torch', 'timm', 'pandas') if m in sys.modules])"
    )
    for more, name in ((), "kshot.html"), (("--check",), "[]"):
        words = [sys.executable, "-c", code, *map(str, command), *more]
        done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        assert name in done.stdout
        assert done.stdout.splitlines()[-1] == "[]"
    values = record("protonet-16")["scores"]["accuracy"]["values"]
    assert (
        f"0.46 | {statistics.fmean(values):.4f} ± {statistics.stdev(values):.4f}"
        in (tmp_path / "out" / "kshot.md").read_text()
    )
    mixed = subprocess.run(
        [*words[:3], "report", folder, RECORDS], capture_output=True, text=True, cwd=ROOT
    )
    assert mixed.returncode == 2
    assert "one or the other" in mixed.stderr
