"""Typed settings, YAML files, overrides and presets."""

from fewshot.config.schema import (
    Append as Append,
)
from fewshot.config.schema import (
    BackboneSettings as BackboneSettings,
)
from fewshot.config.schema import (
    Count as Count,
)
from fewshot.config.schema import (
    EarlyStopping as EarlyStopping,
)
from fewshot.config.schema import (
    NotNegative as NotNegative,
)
from fewshot.config.schema import (
    Optimizer as Optimizer,
)
from fewshot.config.schema import (
    Phase as Phase,
)
from fewshot.config.schema import (
    Positive as Positive,
)
from fewshot.config.schema import (
    Resolution as Resolution,
)
from fewshot.config.schema import (
    RunConfig as RunConfig,
)
from fewshot.config.schema import (
    Schedule as Schedule,
)
from fewshot.config.schema import (
    Settings as Settings,
)
from fewshot.config.schema import (
    Share as Share,
)
from fewshot.config.schema import (
    Step as Step,
)
from fewshot.config.schema import (
    Train as Train,
)
from fewshot.config.schema import (
    Validation as Validation,
)
from fewshot.config.schema import (
    Views as Views,
)
from fewshot.config.schema import (
    check as check,
)
from fewshot.config.schema import (
    dump as dump,
)
from fewshot.config.schema import (
    merge as merge,
)
from fewshot.config.schema import (
    nearest as nearest,
)
from fewshot.config.schema import (
    overrides as overrides,
)
from fewshot.config.schema import (
    preset as preset,
)
from fewshot.config.schema import (
    presets as presets,
)
from fewshot.config.schema import (
    presets_folder as presets_folder,
)
from fewshot.config.schema import (
    read as read,
)
