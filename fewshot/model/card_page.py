"""The card of a model as a page: README.md of its repository on the hub, and `show --markdown`.

The front matter follows https://huggingface.co/docs/hub/model-cards. Imports neither torch nor
numpy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from episodes.datasets.names import readable_line
from fewshot.config.origins import Origin
from fewshot.model import hub, model_card
from fewshot.model.model_card import ModelFile

TAGS = ("fewshot", "few-shot-learning", "image-classification", "calibration")
MOST_NAMED = 8  # classes that the first sentence names


def markdown(model_file: ModelFile, *, has_onnx: bool = False) -> str:
    """Return the card of a model as a page in Markdown with a front matter in YAML.

    Args:
        model_file: what the file says; its path is where the page sends the reader.
        has_onnx: whether model.onnx lies beside the model.
    """
    front = yaml.safe_dump(front_matter(model_file, has_onnx), sort_keys=False, allow_unicode=True)
    sections = [
        f"# {_plain(_title(model_file))}\n\n{_summary(model_file)}",
        f"## How good it is\n\n{_quality(model_file)}",
        f"## Classes\n\n{_classes(model_file)}",
        f"## How to use it\n\n{_usage(model_file, has_onnx)}",
        f"## Limits\n\n{_limits(model_file)}",
        f"## How it was made\n\n{_bullets(model_card.facts_of_making(model_file))}",
        f"## Licence\n\n{_licence_in_words(model_file.card.origins)}",
    ]
    return f"---\n{front}---\n\n" + "\n\n".join(sections) + "\n"


def front_matter(model_file: ModelFile, has_onnx: bool) -> dict[str, Any]:
    """Return the metadata that the hub reads, as plain values of YAML."""
    card = model_file.card
    values: dict[str, Any] = _licence(card.origins)
    values |= {
        "library_name": "fewshot",
        "pipeline_tag": "image-classification",
        "tags": [*TAGS, *(["onnx"] if has_onnx else [])],
    }
    if metrics := _metrics(model_file):
        result = {
            "task": {"type": "image-classification", "name": "Image classification"},
            "dataset": {"type": "custom", "name": readable_line(card.data)},
            "metrics": metrics,
        }
        values["model-index"] = [{"name": readable_line(_title(model_file)), "results": [result]}]
    return values


def _metrics(model_file: ModelFile) -> list[dict[str, Any]]:
    """Return the measured qualities, each with how it was measured; none if none was."""
    quality = model_file.card.quality
    if quality.accuracy is None:
        return []
    how = {"n_images": quality.n_images, "n_folds": quality.n_folds}
    args: dict[str, Any] = dict(how)
    name = f"Accuracy, cross-validation of {quality.n_images} labelled images"
    if quality.low is not None and quality.high is not None:
        args |= {"low_95": round(quality.low, 4), "high_95": round(quality.high, 4)}
        name += f", 95% interval {quality.low:.3f} to {quality.high:.3f}"
    value = round(quality.accuracy, 4)
    metrics = [{"type": "accuracy", "name": name, "value": value, "args": args}]
    if quality.ece is not None:
        name = f"Expected calibration error, cross-validation of {quality.n_images} labelled images"
        metrics.append({"type": "ece", "name": name, "value": round(quality.ece, 4), "args": how})
    return metrics


def _licences(origins: Sequence[Origin]) -> list[str]:
    """Return the licences of the weights, each once; an empty one if one is not known."""
    return list(dict.fromkeys(origin.licence for origin in origins if origin.source))


def _licence(origins: Sequence[Origin]) -> dict[str, Any]:
    licences = [licence.lower() for licence in _licences(origins)]  # as the hub writes them
    if not licences or "" in licences:
        return {}
    if len(licences) == 1:
        return {"license": licences[0]}
    return {"license": "other", "license_name": " and ".join(licences)}


def _licence_in_words(origins: Sequence[Origin]) -> str:
    licences = _licences(origins)
    if not licences:
        return "No weights of others are in this model. Its licence is for its author to state."
    if "" in licences:
        unknown = [origin.weights for origin in origins if origin.source and not origin.licence]
        return f"The licence of these weights is not known: {_plain(', '.join(unknown))}."
    text = f"The weights of the network are under {_plain(' and '.join(licences))}."
    return f"{text} The labelled images may set further conditions."


def _title(model_file: ModelFile) -> str:
    if hub.is_hub(model_file.path):
        return hub.parsed(model_file.path).name.split("/")[1]
    return model_file.path.stem


def _summary(model_file: ModelFile) -> str:
    card, names = model_file.card, list(model_file.classes)
    n_images, n_classes = sum(card.class_counts.values()), len(names)
    named = ", ".join(names[:MOST_NAMED]) + (", ..." if n_classes > MOST_NAMED else "")
    text = (
        f"A classifier of images into {n_classes} classes ({_plain(named)}), made from "
        f"{n_images} labelled images with fewshot {_plain(card.version)}. It gives calibrated "
        "probabilities"
    )
    return f"{text} and refuses images of other things." if model_file.reject else f"{text}."


def _quality(model_file: ModelFile) -> str:
    sentences = [model_card.quality_in_words(model_file.card), *model_file.card.forecast]
    return "\n".join(f"- {_plain(one[:1].upper() + one[1:])}" for one in sentences)


def _classes(model_file: ModelFile) -> str:
    rows = [f"| {_plain(name)} | {n} |" for name, n in model_file.card.class_counts.items()]
    return "\n".join(["| class | labelled images |", "| --- | --- |", *rows])


def _usage(model_file: ModelFile, has_onnx: bool) -> str:
    path = model_file.path
    name = path.as_posix() if hub.is_hub(path) else path.name
    place = re.sub(r"[^\w.:/@ -]", "_", name)
    word = f'"{place}"' if " " in place else place
    text = f"""\
```console
$ pip install fewshot
$ fewshot show {word}
$ fewshot predict {word} photos --out classes.csv
```

```python
import fewshot

classifier = fewshot.FewShotClassifier.load("{place}")
print(classifier.predict(["photo.jpg"]), classifier.predict_proba(["photo.jpg"]))
```"""
    if not has_onnx:
        return text
    return f"""{text}

`{hub.ONNX}` is the same classifier for ONNX Runtime, without fewshot and PyTorch: `images`, uint8
[n, h, w, 3], upright RGB pixels of any size, become `probabilities`, `known_score` and `refused`.
Its metadata holds `classes`."""


def _limits(model_file: ModelFile) -> str:
    card = model_file.card
    limits = [
        "The accuracy was measured on images from the source of the labelled ones. Images from "
        "another camera, place or time can be harder: test it on some of yours with "
        "`fewshot eval`.",
    ]
    if model_file.reject:
        limits.append(
            "Images of none of the classes are refused by their similarity to the labelled images, "
            f"at a threshold that refuses about {model_file.reject:.0%} of images of the classes. "
            "Some images of other things will be taken for a class."
        )
    else:
        limits.append("No image is refused: one of none of the classes gets the nearest of them.")
    limits.append(
        "The file holds the names and the features of the labelled images, not their pixels."
    )
    return "\n".join(f"- {one}" for one in limits + [_plain(note) for note in card.notes])


def _bullets(facts: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"- **{key}**: {_plain(value)}" for key, value in facts)


def _plain(text: str) -> str:
    """Return text in one line whose characters have no special meaning in Markdown."""
    return re.sub(r"([\\`*_\[\]<>|~&$])", r"\\\1", readable_line(text))
