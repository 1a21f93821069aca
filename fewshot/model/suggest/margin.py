"""Pick the images of which a classifier is least certain between its two best classes.

Source: Scheffer, Decomain and Wrobel, Active hidden Markov models for information extraction, 2001.
"""

from __future__ import annotations

from torch import Tensor

from fewshot.errors import UserError
from fewshot.model.suggest.picks import Pool


def select(pool: Pool, budget: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the picks, int64 [budget], and the uncertainty of each.

    Raises:
        UserError: there is no classifier.
    """
    if pool.uncertainty is None:
        raise UserError(
            "the method margin needs a classifier: label a few images of each class first, or "
            "choose another method."
        )
    order = pool.uncertainty.argsort(descending=True, stable=True)[:budget]
    return order, pool.uncertainty[order]
