"""Trees of folders, made from paths that are written by hand, for the tests of class folders."""

import os

from episodes.datasets.folders.folder_tree import File, Folder, tree_of
from episodes.datasets.stamps import stamp

STAMP = stamp(os.stat(__file__))


def tree(*paths: str) -> Folder:
    """Return the tree of some files; `a/0-9.png` stands for ten files."""
    names = []
    for path in paths:
        stem, dash, suffix = path.partition("0-9")
        names += [f"{stem}{i}{suffix}" for i in range(10)] if dash else [path]
    return tree_of([File(name, STAMP) for name in names])[0]
