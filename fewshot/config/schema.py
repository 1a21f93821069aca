"""The typed settings of a run.

Every setting has a description of one sentence, followed by its unit, if any, in square brackets.
`fewshot options` and the settings page of the documentation are generated from these descriptions.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from episodes.datasets.names import readable
from fewshot.config import backbone_names
from fewshot.config.renamed import with_new_keys

Share = Annotated[float, Field(gt=0, lt=1)]
ShareUpToOne = Annotated[float, Field(gt=0, le=1)]


def _held(number: int) -> int:
    """Return a number that fits into a tensor; the bound is too large to be worth documenting."""
    if number >= 2**63:
        raise ValueError("the number is too large")
    return number


# Strict, so that `true` is not read as 1.
Count = Annotated[int, Field(ge=1, strict=True), AfterValidator(_held)]
NaturalNumber = Annotated[int, Field(ge=0, strict=True), AfterValidator(_held)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Name = Annotated[str, AfterValidator(readable)]  # a key, as names of classes are shown
Step = str | dict[str, Any]  # an augmentation: its name, or a mapping with its name and parameters
Views = Literal["none", "flip", "flip-crop", "flip-crops", "flip-shift", "turn-zoom"]
Weight = Annotated[float, Field(gt=0)]
Prior = Literal["balanced", "training"] | dict[Name, Weight]
Calibration = Literal["temperature", "none"]
Fit = Literal["crop", "squeeze", "pad"]
Channels = tuple[float, float, float]
PositiveChannels = tuple[Positive, Positive, Positive]


class Settings(BaseModel):
    """Base of every group of settings: unknown keys are errors, numbers finite, values constant."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _read_old_keys(cls, values: Any) -> Any:
        return with_new_keys(cls, values) if isinstance(values, dict) else values


class BackboneSettings(Settings):
    """The network that turns images into features."""

    name: Annotated[str, BeforeValidator(backbone_names.plain)] = Field(
        description="One of our own backbones, any model of timm (`resnet18.a1_in1k`, also written "
        "`timm/resnet18.a1_in1k`), or a model in timm's format of the hub (`hf-hub:OWNER/NAME`) or "
        "of a folder (`local-dir:PATH`); `a+b` puts the features of two or more side by side."
    )
    weights: str = Field(
        default="none",
        description="Initial weights: `none` (random), `pretrained`, or the path of a weight file.",
    )
    input_size: Count | None = Field(
        default=None,
        description="Side to which the backbone resizes images; null takes its own default. "
        "[pixels]",
    )
    mean: Channels | None = Field(
        default=None,
        description="Mean that is subtracted from each of the three channels of images in [0, 1]; "
        "null takes that of the network's own preprocessing.",
    )
    std: PositiveChannels | None = Field(
        default=None,
        description="Standard deviation by which the three channels are then divided; null takes "
        "that of the network's own preprocessing.",
    )
    options: dict[str, Any] = Field(
        default={}, description="Constructor options of this backbone, such as its width or norm."
    )
    views: Views = Field(
        default="none",
        description="Views of an image whose features are averaged during evaluation: `flip` "
        "adds the mirror image, `flip-crop` also the central crop, `flip-crops` also the corner "
        "crops, and `flip-shift` shifts both images by one pixel; `turn-zoom` turns the image by "
        "up to 10 degrees and zooms it by up to 15 percent each way, without mirroring.",
    )
    centre: bool = Field(
        default=False,
        description="Whether each image is shifted so that the centre of its brightness, such as "
        "that of white ink on black, is in its middle.",
    )
    crop: ShareUpToOne = Field(
        default=1.0,
        description="Central share of the side that is seen during evaluation, because training "
        "saw random crops (timm's crop_pct; Touvron et al., FixRes, arXiv 1906.06423).",
    )
    root: bool = Field(
        default=False,
        description="Whether features are replaced by their signed square roots, so that a few "
        "large ones do not outweigh the others (Perronnin et al., ECCV 2010).",
    )
    beside: tuple[BackboneSettings, ...] = Field(
        default=(),
        description="Further networks, with settings like those of this one, whose features follow "
        "its own; the features of each are scaled to unit length.",
    )

    @model_validator(mode="before")
    @classmethod
    def _split_name(cls, values: Any) -> Any:
        names = backbone_names.parts(values.get("name")) if isinstance(values, dict) else []
        if len(names) < 2:
            return values
        if values.get("beside"):
            if backbone_names.together({**values, "name": names[0]}) != "+".join(names):
                raise ValueError("give the networks either as a+b or in `beside`")
            return {**values, "name": names[0]}
        weights = values.get("weights", "none")
        if weights not in ("none", "pretrained"):
            raise ValueError(
                f"the file {weights} holds weights of one network: give the others, each with its "
                "weights, in `beside`"
            )
        beside = [{"name": name, "weights": weights} for name in names[1:]]
        return {**values, "name": names[0], "beside": beside}

    @model_validator(mode="after")
    def _flat(self) -> BackboneSettings:
        if any(one.beside for one in self.beside):
            raise ValueError("a network in `beside` has no `beside` of its own: list all in one")
        return self

    @property
    def networks(self) -> tuple[BackboneSettings, ...]:
        """The settings of every network alone: this one, and those beside it."""
        return (self.model_copy(update={"beside": ()}), *self.beside)

    @property
    def full_name(self) -> str:
        """The names of all networks, as in "mini-resnet+resnet18"."""
        return "+".join(one.name for one in self.networks)


class Optimizer(Settings):
    """The optimiser and its constants."""

    name: Literal["sgd", "adam", "adamw", "muon"] = Field(
        default="adamw", description="The optimiser."
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.9, description="Momentum of SGD and Muon, and the first beta of Adam and AdamW."
    )
    nesterov: bool = Field(default=True, description="Whether SGD and Muon use Nesterov momentum.")
    beta2: Share = Field(
        default=0.999,
        description="Second beta of Adam and AdamW, also of the AdamW that Muon uses for norms "
        "and biases.",
    )
    eps: Positive = Field(default=1e-8, description="Constant that Adam adds to the denominator.")


class Schedule(Settings):
    """How the learning rate changes during training."""

    name: Literal["constant", "cosine", "linear", "one-cycle", "step"] = Field(
        default="cosine",
        description="Shape of the schedule; `linear` falls to zero, so with a warm-up it is a "
        "triangle.",
    )
    warmup: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="Length of the linear warm-up. `one-cycle` rises as a cosine instead, and 0 "
        "gives it torch's default length, 0.3. [share of the steps]",
    )
    milestones: tuple[Share, ...] = Field(
        default=(0.5, 0.75),
        description="Points after which the schedule `step` multiplies the rate by gamma. "
        "[shares of the steps]",
    )
    gamma: Positive = Field(
        default=0.1, description="Factor by which the schedule `step` multiplies the rate."
    )


class EarlyStopping(Settings):
    """Stop the training when the validation set shows no more progress."""

    monitor: Literal["loss", "accuracy"] = Field(
        default="loss", description="Quantity on the validation set that must improve."
    )
    least_gain: NotNegative = Field(
        default=0.0, description="Smallest change of that quantity that counts as an improvement."
    )
    patience: Count = Field(
        default=3,
        description="Number of evaluations without an improvement that ends the training.",
    )
    least_epochs: NotNegative = Field(
        default=0, description="Length of training before it may stop. [epochs]"
    )
    restore_best: bool = Field(
        default=True,
        description="Whether the best weights by that quantity are restored at the end, unless "
        "`select` chooses the weights by the validation set.",
    )


class Phase(Settings):
    """A part of the training with its own trainable parameters and learning rate."""

    trainable: Literal["all", "head"] | Count = Field(
        default="all",
        description="Trainable parameters: `all`, the `head`, or the head and the last n stages "
        "of the backbone.",
    )
    share: ShareUpToOne = Field(
        default=1.0, description="Length of the phase. [share of the steps]"
    )
    lr: Positive | None = Field(
        default=None, description="Learning rate of the phase; null takes the training's."
    )


class Resolution(Settings):
    """A part of the training that sees smaller images (progressive resizing)."""

    side: Count = Field(description="Side of the training images. [pixels]")
    until: ShareUpToOne = Field(
        description="Point up to which this side is used. [share of the steps]"
    )


class Train(Settings):
    """How a learner is optimised; the length is exactly one of `steps` and `epochs`."""

    base: str | tuple[str, ...] | None = Field(
        default=None,
        description="Data set, or several, whose training images replace the support "
        "(meta-training).",
    )
    turned_classes: bool = Field(
        default=False,
        description="Whether images of base classes turned by 90, 180 and 270 degrees are further "
        "classes (Santoro et al., ICML 2016).",
    )
    within_superclass: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="Training episodes, or batches of pairs, whose classes all come from one "
        "superclass. [share]",
    )
    steps: Count | None = Field(
        default=None, description="Length of the training. [optimiser steps]"
    )
    epochs: Positive | None = Field(
        default=None, description="Length of the training. [passes over the support]"
    )
    least_steps: Count = Field(
        default=1,
        description="Smallest length of a training whose epochs come from the same preset or file. "
        "[optimiser steps]",
    )
    batch_size: Count = Field(
        default=128,
        description="Size of a training batch, for learners of pairs the number of pairs; "
        "learners of episodes ignore it, because episodes have sizes of their own. [images]",
    )
    tasks_per_step: Count = Field(
        default=1,
        description="Tasks or batches whose losses are averaged in one optimiser step.",
    )
    optimizer: Optimizer = Field(
        default=Optimizer(), description="The optimiser and its constants."
    )
    lr: Positive = Field(default=1e-3, description="Peak learning rate.")
    weight_decay: NotNegative = Field(
        default=0.0, description="Weight decay of the optimiser, except for norms and biases."
    )
    layer_decay: ShareUpToOne = Field(
        default=1.0,
        description="Factor by which the learning rate falls from each stage of the backbone to "
        "the stage before it.",
    )
    lr_multipliers: dict[Name, NotNegative] = Field(
        default={},
        description="Factors of the learning rate, by prefix of the parameter's name or by a "
        "pattern with `*`; the longest match counts.",
    )
    decay_multipliers: dict[Name, NotNegative] = Field(
        default={},
        description="Factors of the weight decay, by prefix of the parameter's name or by a "
        "pattern with `*`; the longest match counts.",
    )
    schedule: Schedule = Field(default=Schedule(), description="How the learning rate changes.")
    phases: tuple[Phase, ...] = Field(
        default=(Phase(),), description="Parts of the training, whose shares add up to 1."
    )
    resolutions: tuple[Resolution, ...] = Field(
        default=(),
        description="Smaller sides of the training images in rising order of `until`; the "
        "backbone's input size follows after the last.",
    )
    clip_norm: Positive | None = Field(
        default=None, description="Largest norm of the gradient; null does not clip it."
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Share of the target that is spread evenly over all classes."
    )
    ema_decay: Share | None = Field(
        default=None,
        description="Decay of the exponential moving average of the weights, which then replaces "
        "them; null uses no average.",
    )
    compile: bool = Field(
        default=False,
        description="Whether torch.compile compiles the loss, on a GPU with CUDA graphs; its "
        "seconds count as training, so only long trainings gain.",
    )
    log_every_epochs: Positive | None = Field(
        default=None,
        description="Interval between two entries of the training log; null writes one per epoch, "
        "and at most 50. [epochs]",
    )
    early_stopping: EarlyStopping | None = Field(
        default=None,
        description="When to stop early, which needs a validation set; null never stops.",
    )

    @model_validator(mode="after")
    def _coherent(self) -> Train:
        if self.bases and self.steps is None and self.epochs is None:
            raise ValueError(
                "train.base also needs train.steps or train.epochs: set one, or use the preset "
                "`meta` of protonet, siamese or maml, which has all settings"
            )
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("exactly one of steps and epochs must be given")
        if not self.phases or abs(sum(phase.share for phase in self.phases) - 1) > 1e-6:
            raise ValueError("the shares of the phases must add up to 1")
        ends = [resolution.until for resolution in self.resolutions]
        if ends != sorted(set(ends)):
            raise ValueError("the resolutions must rise in `until`")
        if self.early_stopping is not None and len(self.phases) > 1:
            raise ValueError(
                "early_stopping ends the whole training, so it needs a training of one phase"
            )
        return self

    @property
    def bases(self) -> tuple[str, ...]:
        """The names of the data sets of the base classes."""
        return (self.base,) if isinstance(self.base, str) else self.base or ()

    def total_steps(self, steps_per_epoch: float) -> int:
        """Return the length in optimiser steps; the one place that converts epochs."""
        return self.steps or max(self.least_steps, round((self.epochs or 0) * steps_per_epoch))


class Append(Settings):
    """Transformed copies of some training images that are added once, before training."""

    share: ShareUpToOne = Field(description="Images to copy. [share of the training images]")
    augment: tuple[Step, ...] = Field(description="Augmentations that transform the copies.")


class Validation(Settings):
    """A part of the labelled subset that does not train; its labels count in the budget."""

    share: Share = Field(
        default=0.2, description="Size of the validation set. [share of the labels]"
    )
    split_seed: int = Field(default=0, description="Seed of the split.")


class MethodConfig(Settings):
    """What a run of either regime says about the method: its network, its training, its data."""

    method: str = Field(description="Learner, as `fewshot list` names it.")
    data: str = Field(
        default="cifar10",
        description="Name of a data set, or the path of a folder or file of images.",
    )
    image_size: Count | None = Field(
        default=None,
        description="Side to which images of a folder are resized; null follows the backbone. "
        "[pixels]",
    )
    image_fit: Fit = Field(
        default="crop",
        description="How an image that is not square becomes square: `crop` takes its central "
        "square, `squeeze` changes its aspect ratio, `pad` adds white margins.",
    )
    backbone: BackboneSettings = Field(description="The network that turns images into features.")
    learner: dict[str, Any] = Field(default={}, description="Settings of the method.")
    train: Train | None = Field(
        default=None, description="How the learner is optimised; null where it is not trained."
    )
    augment: tuple[Step, ...] = Field(
        default=(),
        description="Augmentations of the training images, in the order of their application.",
    )
    append: Append | None = Field(
        default=None,
        description="Transformed copies of training images that are added before training.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="Precision of the arithmetic; `auto` takes what suits the hardware.",
    )


class RunConfig(MethodConfig):
    """Everything that decides the result of a run of the low-data regime.

    The label budget is exactly one of `shots`, `fraction` and `full`.
    """

    preset: str | None = Field(
        default=None,
        description="Preset that supplies the other settings: a packaged one, or the path of a "
        "YAML file; null takes `few` up to 100 labels per class and `full` beyond.",
    )
    exclude_classes: tuple[str, ...] = Field(
        default=(),
        description="Classes of the data set to leave out, with their training and test images.",
    )
    regime: Literal["low-data"] = Field(
        default="low-data", description="How the result is measured: on the whole test set."
    )
    shots: NaturalNumber | None = Field(
        default=None,
        description="Label budget; 0 only for a probe with learner.prior_from_names. "
        "[labels per class]",
    )
    class_shots: dict[Name, Count] = Field(
        default={},
        description="Number of labels of single classes, by class name, in place of `shots`.",
    )
    fraction: ShareUpToOne | None = Field(
        default=None, description="Label budget. [share of the training images of each class]"
    )
    full: bool = Field(default=False, description="Label budget: all training images.")
    test: Share | str | None = Field(
        default=None,
        description="Test images of a data set without a test part: the path of other images, or a "
        "share of each class; null cross-validates over `test_folds`.",
    )
    test_folds: Annotated[int, Field(ge=2, strict=True)] = Field(
        default=5,
        description="Parts into which a data set without a test part is split; each trial tests on "
        "one of them, and after so many trials on a new split.",
    )
    group_by: str | None = Field(
        default=None,
        description="What keeps images on one side of a split: `subfolder`, `prefix` (of the file "
        "name) or the name of a column; null takes each image on its own.",
    )
    select: Literal["last", "holdout", "support_cv", "support_cv_ends", "start"] = Field(
        default="last",
        description="Weights that are evaluated: those of the `last` step; of the log entry with "
        "the lowest loss on the validation set (`holdout`); of the step with the lowest loss over "
        "five folds of the support, at its best temperature (`support_cv`), or of the better of "
        "start and last step by the same measure (`support_cv_ends`, because the rate is still "
        "high half-way through a schedule); or those before the first step (`start`).",
    )
    validation: Validation | None = Field(
        default=None,
        description="Validation set within the label budget; null trains on all labels.",
    )
    prior: Prior = Field(
        default="balanced",
        description="How frequent the classifier expects the classes to be: all equally "
        "(`balanced`), as among the labels (`training`), or by weights of named classes, where the "
        "others have weight 1. With equal numbers of labels, the first two are the same.",
    )
    calibration: Calibration = Field(
        default="temperature",
        description="How class probabilities are calibrated: by one `temperature`, chosen on "
        "predictions for labelled images that the classifier was not fitted to; or not (`none`).",
    )

    @property
    def on_folds(self) -> bool:
        """Whether folds of the support choose the weights."""
        return self.select in ("support_cv", "support_cv_ends")

    @model_validator(mode="after")
    def _coherent(self) -> RunConfig:
        if (self.shots is not None) + (self.fraction is not None) + self.full != 1:
            raise ValueError("exactly one of shots, fraction and full must be given")
        if self.class_shots and not self.shots:
            raise ValueError(
                "class_shots replaces shots for single classes: set shots too, or remove it"
            )
        stops_early = self.train is not None and self.train.early_stopping is not None
        if (self.select == "holdout" or stops_early) and self.validation is None:
            raise ValueError("select: holdout and early_stopping need a validation section")
        if self.on_folds and self.validation is not None:
            raise ValueError(
                f"select: {self.select} validates on folds of the support: remove the "
                "validation section"
            )
        return self
