"""A folder of images: its image files, and its folders as classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from backprop_cli.data.file import DataFile, printable
from backprop_cli.data.table import Array, show
from backprop_cli.errors import DataError, listing, plural, warn
from backprop_cli.nn.class_name import named

SUFFIXES = (".png", ".jpg", ".jpeg")
_LITTER = ("thumbs.db", "desktop.ini")
"""Files left by file managers of Windows; those of other systems begin with a dot."""
_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_SPLITS |= dict.fromkeys(("val", "valid", "validation", "dev"), "validation")
"""Folder names that mean a split, and the key of ``data`` for each."""


class ImageFolder:
    """The files below ``file``, a folder or a single image: ``images``, sorted by path, and ``others``.

    Hidden files and folders are left out.

    Raises: DataError if no images are found, and for a pipe or a device.
    """

    def __init__(self, file: DataFile):
        self.file = file
        self.images: list[Path] = []
        self.others: list[Path] = []
        self._folders: list[Path] = []
        file.check(folder=True)
        if file.is_folder:
            self._look()
        else:
            self.images = [file.path]
        if not self.images:
            raise DataError(
                f"{file.name}: has no images ({', '.join(SUFFIXES)}); name a file in it, or a folder "
                "that has a folder of images for each class"
            )

    def _look(self) -> None:
        for path, is_folder in self.file.below():
            if any(part.startswith(".") for part in parts_of(self.file, path)) or path.name.lower() in _LITTER:
                continue
            if is_folder:
                self._folders.append(path)
            elif DataFile(path).is_stream:
                raise DataError(f"{DataFile(path).name}: is a pipe or a device, not a file; remove it")
            else:
                (self.images if path.name.lower().endswith(SUFFIXES) else self.others).append(path)

    def warn_of_others(self) -> None:
        """Warn of files that are not images, counted by suffix."""
        if self.others:
            count = plural(len(self.others), "file")
            is_none = "is not PNG or JPEG and is" if len(self.others) == 1 else "are not PNG or JPEG and are"
            warn(f"{self.file.name}: {count} {is_none} left out ({_by_suffix(self.others)})")

    def check_classes(self) -> None:
        """Raise DataError if a class has no images, or if the folders are splits rather than classes."""
        inside = self._folders_inside()
        filled = {parts_of(self.file, path)[0] for path in self.images}
        empty = [name for name in inside if name not in filled]
        if empty and filled & set(inside):
            place = f"{DataFile(self.file.path / empty[0]).name}"
            others = [path for path in self.others if parts_of(self.file, path)[0] == empty[0]]
            has = f"it has only other files ({_by_suffix(others)})" if others else "it is empty"
            more = f"; so {'does' if len(empty) == 2 else 'do'} {listing(empty[1:], 5)}" if len(empty) > 1 else ""
            raise DataError(
                f"{place}: the folder of a class has no PNG or JPEG: {has}{more}; convert them, or remove the folder"
            )
        self._refuse_splits(inside)

    def warn_of_splits(self) -> None:
        """Warn of folders that are read as classes although their names, such as ``val``, are those of splits."""
        inside = self._folders_inside()
        alike = [name for name in inside if name.lower() in _SPLITS]
        if alike and len(alike) < len(inside):
            folders, are, what = ("folder", "is", "a class") if len(alike) == 1 else ("folders", "are", "classes")
            own, key = self.file.name.rstrip("/"), _SPLITS[alike[0].lower()]
            warn(
                f"{self.file.name}: the {folders} {listing(map(show, alike))} {are} read as {what}, as the others "
                f"are; give a split a key of its own, such as data: {{{key}: {own}/{alike[0]}}}"
            )

    def _folders_inside(self) -> dict[str, set[str]]:
        """Each folder directly inside, and the names of its folders that have images."""
        found: dict[str, set[str]] = {path.name: set() for path in self._folders if path.parent == self.file.path}
        for path in self.images:
            first, *rest = parts_of(self.file, path)
            if len(rest) > 1:
                found[first].add(rest[0])
        return found

    def _refuse_splits(self, inside: Mapping[str, set[str]]) -> None:
        own = self.file.name.rstrip("/")
        names = list(inside)
        if names and all(name.lower() in _SPLITS for name in names):
            keys = {_SPLITS[name.lower()]: name for name in names}
            files = ", ".join(f"{key}: {own}/{name}" for key, name in keys.items())
            written = f"write data: {{{files}}} instead of source" if "train" in keys else "name a folder of classes"
            raise DataError(f"{self.file.name}: its folders are splits, not classes: {listing(names)}; {written}")
        same = set.intersection(*inside.values()) if len(inside) > 1 else set()
        if len(same) > 1 and all(each == same for each in inside.values()):
            raise DataError(
                f"{self.file.name}: all its folders ({listing(names, 5)}) have the same folders in them "
                f"({listing(sorted(same), 5)}), so these seem to be the classes; give each its own key, such as "
                f"data: {{train: {own}/{names[0]}, validation: {own}/{names[1]}}}, or name one of them"
            )


def _by_suffix(paths: Sequence[Path]) -> str:
    """``40 .bmp, 20 .tif``, the most frequent first."""
    counts = Counter(path.suffix.lower() or path.name for path in paths)
    return listing((f"{count:,} {printable(suffix)}" for suffix, count in counts.most_common()), 5)


def parts_of(file: DataFile, path: Path) -> tuple[str, ...]:
    """The parts of the image's path below the folder."""
    return path.parts[len(file.path.parts) :] or (path.name,)


def classes_of(file: DataFile, paths: Sequence[Path]) -> Array | None:
    """The class of each image, its folder: integers if all names are spelled as integers; None without folders.

    Shapes: (images,)

    Raises: DataError for images both in folders and next to them, and for a folder name that is not UTF-8.
    """
    folders = [parts[0] if len(parts) > 1 else "" for parts in (parts_of(file, path) for path in paths)]
    if not any(folders):
        return None
    if not all(folders):
        lost = paths[folders.index("")]
        raise DataError(
            f"{DataFile(lost).name}: is outside the folders of the classes; move it into the folder of its class"
        )
    known = {folder: named(folder) for folder in sorted(set(folders))}
    stripped: dict[str, str] = {}
    for folder in known:
        if printable(folder) != folder:
            raise DataError(f"{DataFile(file.path / folder).name}: the name of a class is not UTF-8; rename the folder")
        other = stripped.setdefault(folder.strip(), folder)
        if other != folder:
            raise DataError(
                f"{file.name}: the folders {show(other)} and {show(folder)} differ only by spaces, which do not "
                "count in a class's name; rename one, or move its images"
            )
    numbers = all(isinstance(label, int) for label in known.values())
    return np.array([known[folder] for folder in folders] if numbers else folders)
