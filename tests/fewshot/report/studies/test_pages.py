"""What a page says about cells without numbers."""

from __future__ import annotations

from pathlib import Path

from tests.fewshot.study_results import Planned, record


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
        f"K8 at scale small is {-less[0]:.4f} to {-less[1]:.4f} below the report.\n\n"
        "- What differs here: 10 trials; mini-resnet instead of ConvNeXt-Tiny.\n"
        "- The backbone that ships is smaller.\n" in text
    )
    for line in ("- Failed: K8 (1 of 5 settings).", "- Not run: K7.", "- Not yet run: K15."):
        assert line in text
