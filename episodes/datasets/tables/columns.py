"""Which columns of a table hold the images, the labels and the part of the data set."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from episodes.datasets.source import few
from episodes.datasets.tables.table import Table
from episodes.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

# Usual names without regard to case, spaces, hyphens and underscores; best first.
IMAGE_NAMES = (
    *("image", "img", "imagepath", "imgpath", "imagefile", "imgfile", "imagefilepath", "filename"),
    *("filepath", "filepaths", "imagename", "imgname", "path", "file", "images", "imgs"),
    *("imageurl", "url", "photo", "picture", "pic", "pixelvalues", "imageid", "imgid", "idcode"),
    *("fname", "fullpath", "relativepath", "jpg", "png", "jpeg", "imagebytes", "imagedata"),
    *("bytes", "id", "name"),
)
LABEL_NAMES = (
    *("label", "labels", "finelabel", "classlabel", "class", "classes", "classname", "labelname"),
    *("labeltext", "category", "categories", "categoryname", "target", "targets", "y", "classid"),
    *("labelid", "labelidx", "classidx", "classindex", "categoryid", "groundtruth", "gt"),
    *("diagnosis", "dx", "species", "breed", "disease", "emotion", "expression", "variety"),
)
SPLIT_NAMES = (
    *("split", "set", "dataset", "subset", "partition", "part", "fold", "usage", "phase"),
    *("splitname", "traintest", "istest", "istrain", "istraining", "isvalid", "isval"),
    "isvalidation",
)
# Names of the classes beside labels that are numbers.
CLASS_NAMES = (
    *("labelname", "labeltext", "labelstr", "classname", "classtext", "categoryname", "class"),
    *("category", "label", "name"),
)
_LABEL_WORDS = {
    *("label", "labels", "class", "classes", "category", "target", "diagnosis", "species", "breed"),
    *("disease", "emotion", "kind", "type", "cls", "lbl", "variety", "annotation", "tag"),
}
# What may be asked about an image, but is not meant unless it is called a label.
_ATTRIBUTES = {"age", "sex", "gender", "race", "ethnicity", "year", "camera", "rating", "source"}
_OTHER_WORDS = {
    *_ATTRIBUTES,
    *("id", "ids", "index", "idx", "uuid", "uid", "hash", "md5", "no", "nr", "number", "count"),
    *("month", "day", "date", "time", "timestamp", "width", "height", "size"),
    *("score", "weight", "price", "lat", "lon", "latitude", "longitude", "x", "y", "x1", "x2"),
    *("y1", "y2", "patient", "subject", "user", "author"),
    *("license", "url", "path", "file", "filename", "filepath", "caption", "text", "description"),
    *("prompt", "title", "comment", "coarse", "super", "superclass", "unnamed", "votes"),
}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_]+")

Features = dict[str, dict[str, Any]]  # column -> what Hugging Face's `datasets` says about it


class LabelColumn(NamedTuple):
    """The column of labels.

    Attributes:
        name: its name.
        class_names: names of the classes that its numbers index, if the file declares them.
        names_column: another column with the name of the class of each row, or None.
        is_usual: whether it is declared or has a usual name; otherwise it is a guess.
        note: sentence for the user about the choice, or an empty string.
    """

    name: str
    class_names: tuple[str, ...] | None
    names_column: str | None
    is_usual: bool
    note: str


def plain(name: str) -> str:
    """Return a name in lower case, with letters and digits only."""
    return "".join(character for character in name.casefold() if character.isalnum())


def by_usual_names(columns: list[str], usual: tuple[str, ...]) -> list[str]:
    """Return the columns that have a usual name, best first."""
    ranks = {name: rank for rank, name in enumerate(usual)}
    usual_columns = [column for column in columns if plain(column) in ranks]
    return sorted(usual_columns, key=lambda column: ranks[plain(column)])


def features_of(schema: pa.Schema) -> Features:
    """Return what Hugging Face's `datasets` stored about each column; empty if nothing."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {column: value for column, value in features.items() if isinstance(value, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def encoded_image_column(table: Table) -> str | None:
    """Return the column that holds images as bytes, as structs with bytes or as pixels.

    Returns:
        None if no column has such a type.

    Raises:
        UserError: several columns do, and none has a usual name.
    """
    from episodes.datasets.tables.images import can_hold_images, can_hold_pixels

    features = features_of(table.schema)
    rows_of_pixels = {
        name
        for name in by_usual_names(table.schema.names, IMAGE_NAMES[:2])
        if kind_of(table.schema.field(name).type) == "list"
    }
    for fits in (can_hold_images, can_hold_pixels):
        columns: list[str] = [field.name for field in table.schema if fits(field.type)]
        declared = [name for name in columns if features.get(name, {}).get("_type") == "Image"]
        columns = declared or columns
        if len(columns) == 1:
            return columns[0]
        if usual := by_usual_names(columns, IMAGE_NAMES):
            return usual[0]
        if columns:
            raise UserError(
                f"{table.path} has several image columns ({few(sorted(columns))}): name the one to "
                "use 'image'."
            )
    return next(iter(rows_of_pixels), None)


def text_image_columns(table: Table) -> list[str]:
    """Return the columns that may hold the paths of images: those with usual names first."""
    columns = [field.name for field in table.schema if is_text(field.type)]
    integers = [field.name for field in table.schema if kind_of(field.type) == "integer"]
    first = by_usual_names([*columns, *integers], IMAGE_NAMES)
    paths = [
        name for name in columns if name not in first and _words(name) & {"path", "file", "image"}
    ]
    return [*first, *paths, *(name for name in columns if name not in (*first, *paths))]


def split_column(table: Table) -> str | None:
    """Return the column that may hold the part of each row, by its name; or None."""
    columns = [field.name for field in table.schema if kind_of(field.type) != "other"]
    usual = by_usual_names(columns, SPLIT_NAMES)
    return usual[0] if usual else None


def label_column(table: Table, others: set[str]) -> LabelColumn | None:
    """Choose the column of labels: a declared one, one with a usual name, or the only possible one.

    Args:
        table: the table.
        others: columns with another meaning.

    Returns:
        None if no column can hold labels.

    Raises:
        UserError: several columns can, and none has a usual name.
    """
    features = features_of(table.schema)
    kinds = {f.name: kind_of(f.type) for f in table.schema if f.name not in others}
    columns = [name for name, kind in kinds.items() if kind != "other"]
    declared = [name for name in columns if features.get(name, {}).get("_type") == "ClassLabel"]
    usual = by_usual_names(declared or columns, LABEL_NAMES)
    unfit = by_usual_names([name for name in kinds if name not in columns], LABEL_NAMES)
    if unfit and not declared and not usual:
        raise UserError(
            f"{table.path} has values of the type {table.schema.field(unfit[0]).type} in "
            f"{unfit[0]!r}: expected the class of each image as text or as a whole number."
        )
    chosen = declared[0] if len(declared) == 1 else usual[0] if usual else None
    if chosen is None:
        if len(declared) > 1:
            raise _ambiguous(table, declared)
        return _unusual(table, columns)
    names = features.get(chosen, {}).get("names") if declared else None
    names_column = None
    if not names and kinds[chosen] in ("integer", "boolean", "text"):
        texts = [name for name in columns if name != chosen and kinds[name] == "text"]
        names_column = next(iter(by_usual_names(texts, CLASS_NAMES)), None)
    unused = [name for name in usual if name not in (chosen, names_column)]
    note = ""
    if plain(chosen) not in LABEL_NAMES[:2] or unused:
        more = f"; {few([repr(name) for name in unused])}: not used" if unused else ""
        note = f"the labels are the values of {chosen!r} in {table.path.name}{more}"
    class_names = tuple(str(name) for name in names) if names else None
    return LabelColumn(chosen, class_names, names_column, True, note)


def _unusual(table: Table, columns: list[str]) -> LabelColumn | None:
    """Choose a column without a usual name: the only one that can be meant."""
    by_word = [name for name in columns if _words(name) & _LABEL_WORDS]
    possible = by_word or [name for name in columns if not _words(name) & _OTHER_WORDS]
    if possible and not by_word:
        possible += [name for name in columns if _words(name) & _ATTRIBUTES]
    if len(possible) > 1:
        raise _ambiguous(table, possible)
    if not possible:
        return None
    note = f"the labels are the values of {possible[0]!r} in {table.path.name}"
    return LabelColumn(possible[0], None, None, False, note)


def _ambiguous(table: Table, columns: list[str]) -> UserError:
    return UserError(
        f"{table.path} has several columns that could be the labels ({few(sorted(columns))}): "
        "name the one to use 'label'."
    )


def no_label_column(table: Table, others: set[str]) -> UserError:
    """Return the error about a table without labels."""
    names = [repr(field.name) for field in table.schema if field.name not in others]
    has = f"its other columns are {few(names)}" if names else "it has no other columns"
    return UserError(
        f"{table.path} has no label column, {has}: name the column with the class of each image "
        "'label'."
    )


def kind_of(type_: pa.DataType) -> str:
    """Return what the values of a column are.

    Returns:
        "integer", "boolean", "float", "text", "list" or "other".
    """
    import pyarrow.types as types

    if types.is_dictionary(type_):
        type_ = type_.value_type
    if types.is_integer(type_):
        return "integer"
    if types.is_boolean(type_):
        return "boolean"
    if types.is_floating(type_) or types.is_decimal(type_):
        return "float"
    if is_text(type_):
        return "text"
    if types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
        return "list"
    return "other"


def is_text(type_: pa.DataType) -> bool:
    """Return whether a column of this type holds text."""
    import pyarrow.types as types

    if types.is_dictionary(type_):
        type_ = type_.value_type
    return bool(
        types.is_null(type_)
        or types.is_string(type_)
        or types.is_large_string(type_)
        or types.is_string_view(type_)
    )


def _words(name: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(name)}
