"""The images of a run, decoded at the size that its network needs."""

from __future__ import annotations

from episodes import class_splits, datasets
from episodes.types import TrainTest
from fewshot import backbones
from fewshot.config import RunConfig
from fewshot.errors import UserError


def load(settings: RunConfig, progress: bool = False) -> TrainTest:
    """Return the training and the test images of a run, without the classes that it excludes.

    Their size follows the backbone. Other networks of a learner, such as the teachers of a
    distillation and the proxy of selective back-propagation, are for small images, for which every
    size is large enough.

    Args:
        settings: the settings of the run.
        progress: whether to report progress while images are decoded.

    Raises:
        UserError: the data set is missing or broken, the backbone is unknown, or a share is to be
            set aside of a data set that has a test part.
    """
    if isinstance(settings.test, float) and datasets.has_test_part(settings.data):
        raise UserError(
            f"{settings.data} has a test part, so no share of its images is set aside: leave out "
            f"--test {settings.test:g}, or name other images with it."
        )
    data = datasets.load(
        settings.data,
        image_size=settings.image_size,
        input_size=backbones.input_side(settings.backbone),
        fit=settings.image_fit,
        test=settings.test,
        group_by=settings.group_by,
        progress=progress,
    )
    train = class_splits.without_classes(data.train, settings.exclude_classes)
    if data.is_whole:
        return TrainTest(train, train)
    return TrainTest(train, class_splits.without_classes(data.test, settings.exclude_classes))
