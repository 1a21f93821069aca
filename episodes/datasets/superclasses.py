"""Superclasses: from a `groups.yaml` beside the images, or known for CIFAR-10."""

from __future__ import annotations

from pathlib import Path

from episodes.datasets.cifar10 import GROUPS as CIFAR10_GROUPS
from episodes.errors import UserError

FILE = "groups.yaml"


def groups_of(folder: Path, classes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Superclass name -> class names; empty where none are known.

    UserError, naming the file and the key, unless `groups.yaml` puts every class in exactly one group.
    """
    path = folder / FILE
    if path.is_file():
        return _checked(path, classes)
    known = {name for members in CIFAR10_GROUPS.values() for name in members}
    return dict(CIFAR10_GROUPS) if set(classes) == known else {}


def _checked(path: Path, classes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    home: dict[str, str] = {}
    for key, members in _read(path).items():
        if (
            not isinstance(key, str | int)
            or isinstance(key, bool)
            or not isinstance(members, list)
            or not members
        ):
            raise UserError(f"{path}, key {key!r}: write `superclass: [class, class]`.")
        for member in members:
            if not isinstance(member, str | int) or isinstance(member, bool):
                raise UserError(
                    f"{path}, key {key!r}: {member!r} is not a class name; put names in quotes."
                )
            if str(member) not in classes:
                raise UserError(
                    f"{path}, key {key!r}: there is no class {str(member)!r}{_near(str(member), classes)}."
                )
            if str(member) in home:
                raise UserError(
                    f"{path}, key {key!r}: {member} is already in {home[str(member)]!r}."
                )
            home[str(member)] = str(key)
        groups[str(key)] = tuple(str(member) for member in members)
    if missing := [name for name in classes if name not in home]:
        raise UserError(
            f"{path}: every class needs one group, but {', '.join(missing[:5])} has none."
        )
    return groups


def _read(path: Path) -> dict[object, object]:
    import yaml

    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(
            f"{path} cannot be read as YAML: {' '.join(str(error).split())}."
        ) from error
    if not isinstance(read, dict) or not read:
        raise UserError(f"{path}: write one line `superclass: [class, class]` a group.")
    return read


def _near(name: str, classes: tuple[str, ...]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, classes, n=1)
    return f", did you mean {near[0]!r}" if near else ""
