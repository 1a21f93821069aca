"""What a page says about cells without numbers."""

from __future__ import annotations

from pathlib import Path

from fewshot.report.studies import gathering, pages
from fewshot.report.studies import reported as reported_numbers
from fewshot.studies import grids
from tests.fewshot.study_results import Planned, cell, record, row, save


def test_what_has_no_number_is_listed_with_its_reason(reported: tuple[Planned, Path, Path]) -> None:
    text = (reported[2] / "kshot.md").read_text()
    assert (
        "Failed, 1 of 5 settings: method sgd\\_b \\[reported: accuracy 0.59\\]. "
        "Reason: the loss became infinite" in text
    )
    assert (
        "Not run, 2 of 2 settings: lr 1 \\[reported: accuracy 0.41, train accuracy 0.94\\]; lr 2"
        in text
    )
    assert "Reason: ImageNet weights of resnet18 are not on this machine." in text
    assert "Not yet run: best of K8." in text
    less = [
        record(f"{name}-16")["scores"]["accuracy"]["mean"] - of
        for name, of in (("probe", 0.71), ("scratch", 0.5))
    ]
    assert (
        f"K8 at scale small is {-less[0]:.4f} to {-less[1]:.4f} below 2 of the 4 accuracies "
        "that the report states for it.\n\n"
        "- What differs here: 10 trials; mini-resnet instead of ConvNeXt-Tiny.\n"
        "- The backbone that ships is smaller.\n" in text
    )
    for line in ("- Failed: K8 (1 of 5 settings).", "- Not run: K7.", "- Not yet run: K15."):
        assert line in text


def test_a_study_without_reported_numbers_speaks_of_none(tmp_path: Path) -> None:
    own, asked = row("mine", "M1", "A probe"), cell("all", "A probe")
    save(tmp_path, own, asked, record("probe-16"))
    (study,) = gathering.gather([(own, [asked])], tmp_path, "small")
    page = pages.page(study)
    assert page.headline is not None
    assert page.compared == []
    words = [page.introduction, page.headline.caption, *page.findings]
    assert not any("report" in text.lower() for text in words)


def test_the_sentence_about_a_number_that_was_not_reached_names_the_stand_in(
    tmp_path: Path,
) -> None:
    place = "mini-resnet in ResNet18's place"
    of = row(
        "kshot", "K7", "ResNet18", stand_ins={"all": place}, reported=[{"at": {}, "accuracy": 1}]
    )
    asked = cell("all", "ResNet18", accuracy=1.0)
    save(tmp_path, of, asked, record("probe-16"))
    (study,) = gathering.gather([(of, [asked])], tmp_path, "small")
    (finding,) = reported_numbers.missed(study)
    below = 1 - record("probe-16")["scores"]["accuracy"]["mean"]
    how = f"measured at scale small with {place}"
    assert finding.sentence == f"K7, {how}, is {below:.4f} below the report."


def test_the_best_number_of_a_row_names_what_ran_if_its_title_does_not(tmp_path: Path) -> None:
    nearest_mean = "nearest mean of frozen features, not trained"
    for name, stand_ins, words in (
        ("X1", {}, nearest_mean),
        ("X2", {"all": "mini-resnet in its place"}, f"{nearest_mean}, mini-resnet in its place"),
    ):
        grid = [{"start": {"trained": {}, "pretrained": {}}}]
        plan = row("one", name, "Prototypical network", grid=grid, stand_ins=stand_ins)
        cells = grids.cells(plan, "small")
        for one, file in zip(cells, ("scratch-16", "protonet-16"), strict=True):
            save(tmp_path, plan, one, record(file), values=one.values)
        (gathered,) = gathering.gather([(plan, cells)], tmp_path, "small")
        mean = record("protonet-16")["scores"]["accuracy"]["mean"]
        assert pages.page(gathered).sections[0].brief.startswith(f"best: {words}, {mean:.4f} ")
