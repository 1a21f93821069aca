"""The card of a model as a page for the hub.

Oracle: the hub's own reader of cards; HTML of a Markdown parser; values written by hand.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fewshot.config.origins import Origin
from fewshot.model import card_page, file_format, model_card
from fewshot.model.card import Quality
from fewshot.model.model_card import ModelFile
from tests.fewshot.model.stored_classifier import card, classifier

OURS = Origin("mini-resnet", "mini-resnet, tinyimagenet32", "shipped with fewshot", "MIT", "0")
LITE = Origin("lite_0", "lite_0, ImageNet", "the package b 1.0", "Apache-2.0", "0")
UNKNOWN = Origin("conv4", "conv4, a file", "mine.pt")
RANDOM = Origin("conv4", "random", "")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    path = tmp_path_factory.mktemp("card") / "pets.fewshot"
    file_format.save(classifier(), path)
    return model_card.read(path)


def changed(model_file: ModelFile, **values: Any) -> ModelFile:
    return replace(model_file, card=replace(card(), **values))


def test_the_hub_reads_the_metrics_with_their_intervals(stored: ModelFile):
    from huggingface_hub import ModelCard

    page = card_page.markdown(replace(stored, path=Path("hf:mia/pets")), has_onnx=True)
    data = ModelCard(page).data
    assert (data.pipeline_tag, data.library_name) == ("image-classification", "fewshot")
    assert data.tags is not None
    assert {"few-shot-learning", "onnx"} <= set(data.tags)
    assert data.model_name == "pets"
    assert data.eval_results is not None
    accuracy, ece = data.eval_results
    assert (accuracy.metric_type, accuracy.metric_value) == ("accuracy", 0.9)
    assert accuracy.metric_args == {"n_images": 7, "n_folds": 5, "low_95": 0.8, "high_95": 0.95}
    assert (ece.metric_type, ece.metric_value) == ("ece", 0.1)
    assert accuracy.dataset_name == "photos"


def test_the_page_says_what_a_user_wants_to_know(stored: ModelFile):
    page = card_page.markdown(replace(stored, path=Path("hf:mia/pets")), has_onnx=True)
    for words in (
        "# pets\n",
        "into 3 classes (cat, dög, no class of yours), made from 7 labelled images",
        "90% of new images classified correctly",
        "(95% interval 80% to 95%)",
        "| dög | 2 |",
        "fewshot predict hf:mia/pets photos",
        'load("hf:mia/pets")',
        "`model.onnx` is the same classifier",
        "refuses about 5% of images of the classes",
        "- one image could not be read",
        "- **method**: probe",
    ):
        assert words in page, words


def test_a_page_beside_a_file_names_no_folder_of_this_machine(stored: ModelFile):
    page = card_page.markdown(stored)
    assert "fewshot predict pets.fewshot photos" in page
    assert str(stored.path.parent) not in page
    assert "model.onnx" not in page


def test_a_quality_that_was_not_measured_is_no_metric(stored: ModelFile):
    unknown = Quality(None, None, None, None, 0, 0, None, 0.1)
    model_file = changed(stored, quality=unknown)
    assert "model-index" not in card_page.front_matter(model_file, has_onnx=False)
    assert "- Not measured" in card_page.markdown(model_file)


@pytest.mark.parametrize(
    ("origins", "metadata", "words"),
    [
        ((OURS,), {"license": "mit"}, "The weights of the network are under MIT."),
        ((LITE, LITE), {"license": "apache-2.0"}, "are under Apache-2.0."),
        (
            (OURS, LITE),
            {"license": "other", "license_name": "mit and apache-2.0"},
            "are under MIT and Apache-2.0.",
        ),
        ((LITE, UNKNOWN), {}, "The licence of these weights is not known: conv4, a file."),
        ((RANDOM,), {}, "Its licence is for its author to state."),
    ],
)
def test_the_licence_is_that_of_the_weights(
    stored: ModelFile, origins: tuple[Origin, ...], metadata: Mapping[str, str], words: str
):
    model_file = changed(stored, origins=origins)
    front = card_page.front_matter(model_file, has_onnx=False)
    assert {key: value for key, value in front.items() if "license" in key} == metadata
    assert words in card_page.markdown(model_file)


def test_hostile_names_are_text(stored: ModelFile):
    markdown = pytest.importorskip("markdown")
    name = "a|b\n---\n<script>x</script> [l](javascript:x) *b* `c`"
    model_file = replace(
        changed(stored, class_counts={name: 2}, data=f"x: {name}"), classes=(name,)
    )
    page = card_page.markdown(model_file)
    from huggingface_hub import ModelCard

    content = ModelCard(page)
    assert content.data.library_name == "fewshot"
    html = markdown.markdown(content.text, extensions=["tables", "fenced_code"])
    for tag in ("<script", "<a ", "<em>"):
        assert tag not in html, tag
    assert html.count("<td>") == 2


def test_the_page_imports_nothing_heavy(stored: ModelFile):
    program = (
        "import sys; from pathlib import Path; from fewshot.model import card_page, model_card;"
        f"card_page.markdown(model_card.read(Path({str(stored.path)!r})));"
        "sys.exit(bool({'torch', 'numpy', 'timm', 'huggingface_hub'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
