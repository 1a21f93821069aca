"""Classifiers on features: of one support set, and the task heads, which solve many tasks at once.

A head of your own joins the others with `HEADS["mine"] = Mine`.
"""

from __future__ import annotations

from fewshot.heads.inductive.cosine import Cosine
from fewshot.heads.inductive.lda import LDA
from fewshot.heads.inductive.logistic import Logistic
from fewshot.heads.inductive.nearest_mean import NearestMean
from fewshot.heads.inductive.ridge import Ridge
from fewshot.heads.task_head import TaskHead
from fewshot.heads.transductive.alpha_tim import AlphaTIM
from fewshot.heads.transductive.bd_cspn import BDCSPN
from fewshot.heads.transductive.label_propagation import LabelPropagation
from fewshot.heads.transductive.laplacian_shot import LaplacianShot
from fewshot.heads.transductive.pt_map import PTMAP
from fewshot.heads.transductive.soft_kmeans import SoftKMeans
from fewshot.heads.transductive.tim import TIM

HEADS: dict[str, type[TaskHead]] = {
    "nearest-mean": NearestMean,
    "ridge": Ridge,
    "logistic": Logistic,
    "cosine": Cosine,
    "lda": LDA,
    "soft-kmeans": SoftKMeans,
    "bd-cspn": BDCSPN,
    "laplacian-shot": LaplacianShot,
    "tim": TIM,
    "alpha-tim": AlphaTIM,
    "pt-map": PTMAP,
    "label-propagation": LabelPropagation,
}
