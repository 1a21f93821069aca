"""Oracle: trainings by hand without each image, and the logits of the networks that they give."""

from __future__ import annotations

import torch

from fewshot.model import candidates, training_folds
from fewshot.model.classifier import Recipe
from fewshot.runs import calibrating
from tests.fewshot.model.test_fit import digits
from tests.fewshot.model.test_training import short


def test_each_image_is_predicted_by_a_training_without_it() -> None:
    images, training = digits(4, 4, 1), short()
    candidate = candidates.by_training(training, Recipe("logistic", prior="training"))
    held_out = training_folds.out_of_fold(candidate, images, 0, "cpu")
    assert sorted(held_out.positions.tolist()) == list(range(8))  # the ninth is alone
    assert held_out.labels.tolist() == images.labels[held_out.positions].tolist()
    expected = torch.zeros(9, 3)
    for _, outside in calibrating.folds(images.labels, None, 0, held_out.n_folds):
        others = torch.tensor([i for i in range(9) if i not in outside.tolist()])
        trained = training.run(images, others)
        with torch.no_grad():
            features = trained.backbone(images.images[outside].float() / 255)
        expected[outside] = trained.head(features)
    torch.testing.assert_close(held_out.logits, expected[held_out.positions], atol=1e-4, rtol=1e-4)
