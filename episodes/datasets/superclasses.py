"""Superclasses of a data set: from `groups.yaml` beside the images, or built in for CIFAR."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from episodes.datasets import cifar10, cifar100, digits
from episodes.errors import UserError
from episodes.types import ImageSet

FILE_NAME = "groups.yaml"


def superclasses_of(folder: Path, classes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return the classes of each superclass; empty if no superclasses are known.

    Args:
        folder: folder of the data set, which may hold `groups.yaml`.
        classes: class names of the data set.

    Raises:
        UserError: `groups.yaml` does not put every class into exactly one superclass.
    """
    path = folder / FILE_NAME
    if path.is_file():
        return _checked(path, classes)
    for groups in (cifar10.GROUPS, cifar100.GROUPS):
        if {name for names in groups.values() for name in names} == set(classes):
            return dict(groups)
    return {}


def superclasses_in_names(classes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return the classes of each superclass where class names are SUPERCLASS/CLASS."""
    groups: dict[str, tuple[str, ...]] = {}
    for name in classes:
        superclass = name.split("/")[0]
        groups[superclass] = (*groups.get(superclass, ()), name)
    return groups


def given_in_file(images: ImageSet) -> dict[str, tuple[str, ...]]:
    """Return the superclasses of images if `groups.yaml` gives them, and otherwise none.

    Others follow from the class names, so they need not be part of what identifies a run.
    """
    by_name = superclasses_in_names(images.classes)
    known = (by_name, cifar10.GROUPS, cifar100.GROUPS, digits.GROUPS)
    return {} if any(images.groups == groups for groups in known) else dict(images.groups)


def _checked(path: Path, classes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    superclass_of: dict[str, str] = {}
    for key, members in _read(path).items():
        if not isinstance(key, str) or not isinstance(members, list) or not members:
            raise UserError(f"{path}, key {key!r}: write `superclass: [class, class]`.")
        for member in members:
            superclass_of[_checked_member(path, key, member, classes, superclass_of)] = key
        groups[key] = tuple(members)
    missing = [name for name in classes if name not in superclass_of]
    if missing:
        raise UserError(
            f"{path}: every class needs one superclass, but {', '.join(missing[:5])} has none."
        )
    return groups


def _checked_member(
    path: Path, key: str, name: object, classes: tuple[str, ...], superclass_of: dict[str, str]
) -> str:
    """Return a member of a superclass; raise UserError unless it is a class without one so far."""
    place = f"{path}, key {key!r}"
    if not isinstance(name, str):
        raise UserError(f"{place}: {name!r} is not a class name.")
    if name not in classes:
        suggestions = get_close_matches(name, classes, n=1)
        hint = f", did you mean {suggestions[0]!r}" if suggestions else ""
        raise UserError(f"{place}: there is no class {name!r}{hint}.")
    if name in superclass_of:
        raise UserError(f"{place}: {name} is already in {superclass_of[name]!r}.")
    return name


def _read(path: Path) -> dict[object, object]:
    """Read the file; names are text, also those that YAML has for numbers or booleans."""
    import yaml

    from episodes.datasets import yaml_limits

    try:
        text = path.read_text(encoding="utf-8-sig")
        loader, root = yaml_limits.compose(text, yaml.BaseLoader)  # it builds nothing but text
        content = None if root is None else loader.construct_document(root)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read as YAML ({reason}): correct the file.") from error
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: write one line `superclass: [class, class]` per superclass.")
    return content
