"""The typed settings of the episodic regime: a method, and the tasks that it is evaluated on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fewshot.config.schema import Count, MethodConfig, NaturalNumber, Positive, Settings


class TaskSettings(Settings):
    """The N-way k-shot tasks of an evaluation."""

    sampler: Literal["fixed", "varying", "superclasses"] = Field(
        default="fixed",
        description="Shape of the tasks: `fixed` ways, shots and queries; `varying` ways and "
        "unequal shots (Meta-Dataset, Triantafillou et al., arXiv 1903.03096); or one task for "
        "each of the `superclasses`, whose training images are the support and whose test "
        "images are the queries.",
    )
    file: str | None = Field(
        default=None,
        description="File of tasks that are evaluated instead of sampled ones, such as the "
        "`tasks.npz` of another run; the other settings of the tasks then describe the file.",
    )
    ways: Annotated[int, Field(ge=2, strict=True)] = Field(
        default=5, description="Number of classes of a task. [classes]"
    )
    shots: Count = Field(default=1, description="Size of the support. [images per class]")
    queries: Count = Field(
        default=15,
        description="Number of queries, in unbalanced tasks the mean. [images per class]",
    )
    count: Count = Field(default=2000, description="Number of tasks; papers have at least 600.")
    balance: Literal["balanced", "dirichlet", "missing"] = Field(
        default="balanced",
        description="How queries are divided among the classes: equally; at random by a "
        "Dirichlet distribution (Veilleux et al., arXiv 2204.11181); or equally among some "
        "classes, while `missing` others have none.",
    )
    concentration: Positive = Field(
        default=2.0, description="Concentration of the Dirichlet distribution of the queries."
    )
    missing: Count = Field(
        default=1, description="Number of classes without queries if balance is `missing`."
    )
    seed: NaturalNumber = Field(default=0, description="Seed of the tasks.")


class EpisodesConfig(MethodConfig):
    """Everything that decides a result of the episodic regime."""

    method: str = Field(description="Learner or head, as `fewshot list --methods` names it.")
    preset: str | None = Field(
        default=None,
        description="Preset that supplies the other settings: a packaged one, or the path of a "
        "YAML file; null takes the method's own.",
    )
    regime: Literal["episodic"] = Field(
        default="episodic", description="How the result is measured: on many tasks."
    )
    split: str | None = Field(
        default=None,
        description="Division of the classes into base, val and novel: a list in configs/splits, "
        "the path of such a file, or `seed:S:BASE/VAL/NOVEL`, a random split into that many "
        "classes; null takes all classes as novel.",
    )
    base: tuple[str, ...] = Field(
        default=(),
        description="Data sets whose classes are the base classes, in place of the base "
        "part of `split`.",
    )
    part: Literal["val", "novel"] = Field(
        default="novel", description="Classes that the tasks are sampled from."
    )
    select: Literal["last", "val"] = Field(
        default="val",
        description="Weights of the meta-training that are evaluated: those of the `last` step, or "
        "of the log entry with the best accuracy on tasks of the val classes.",
    )
    train_seed: NaturalNumber = Field(
        default=0,
        description="Seed of the meta-training: of initial weights and of episodes, pairs or "
        "batches.",
    )
    head: dict[str, Any] = Field(default={}, description="Settings of a head.")
    tasks: TaskSettings = Field(default=TaskSettings(), description="The tasks of the evaluation.")

    @model_validator(mode="after")
    def _coherent(self) -> EpisodesConfig:
        if self.tasks.balance == "missing" and self.tasks.missing >= self.tasks.ways:
            raise ValueError("tasks.missing must be smaller than tasks.ways")
        if self.train is not None and self.train.base is not None:
            raise ValueError("train.base belongs to the low-data regime: use base instead")
        return self
