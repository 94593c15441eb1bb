"""Find labels and pictures below a folder, in zips too, whatever of the Large Leukemia Dataset it is."""

from __future__ import annotations

import os
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources.abc import Traversable
from itertools import compress, islice
from pathlib import Path

from bloodfilm.errors import LabelError
from bloodfilm.io.images import is_picture
from bloodfilm.io.lld.listing import Listed, read_listing
from bloodfilm.io.lld.names import IMAGES, home_of, is_hidden, origin_of, split_named, split_of
from bloodfilm.io.lld.pictures import Pictures, called, picture_folders
from bloodfilm.io.lld.text import count_columns
from bloodfilm.vocabulary import normalise

MOST_FOLDERS = 300
"""Folders of which `looks_like_lld` reads the names."""


@dataclass(frozen=True)
class Source:
    """A json file, or the text files of one folder: the labels of one split of one subset.

    `folder` is where they lie, or would lie were the zip around them extracted; `listing` says which pictures text
    files belong to, if a table beside them does.
    """

    files: tuple[Traversable, ...]
    folder: Path
    listing: dict[str, Listed] = field(default_factory=dict, compare=False)

    @cached_property
    def columns(self) -> int:
        """Numbers in a row of text; 0 for json."""
        return count_columns(self.files) if self.is_text else 0

    @property
    def is_text(self) -> bool:
        return self.files[0].name.lower().endswith(".txt")

    @property
    def is_zipped(self) -> bool:
        return isinstance(self.files[0], zipfile.Path)

    @property
    def home(self) -> Path:
        """The subset's folder."""
        return home_of(self.folder)

    @property
    def split(self) -> str:
        return split_of(self.folder) if self.is_text else split_named(self.files[0].name)

    @cached_property
    def pictures(self) -> Pictures:
        return Pictures(picture_folders(self.folder, self.split))

    def __str__(self) -> str:
        return os.path.dirname(str(self.files[0])) if self.is_text else str(self.files[0])


@dataclass
class Found:
    """What lies below a folder: labels, pictures by folder, and what cannot be used."""

    sources: list[Source] = field(default_factory=list)
    pictures: dict[Path, list[Path]] = field(default_factory=dict)
    zipped_pictures: list[str] = field(default_factory=list)
    broken_zips: list[str] = field(default_factory=list)
    left_by_macos: list[str] = field(default_factory=list)
    other_texts: list[str] = field(default_factory=list)


def discover(root: Path) -> Found:
    """Find what lies below `root`: a folder, a json file or a zip.

    Raises
    ------
    LabelError
        If `root` is nothing of that.
    """
    found = Found()
    suffix = root.suffix.lower()
    if root.is_dir():
        for folder, names in _walk(root, found):
            _sort(folder, [folder / name for name in names], found)
            for name in names:
                if name.lower().endswith(".zip"):
                    _open(folder / name, found)
    elif root.is_file() and suffix == ".zip":
        _open(root, found)
    elif root.is_file() and suffix == ".json":
        found.sources.append(Source((root,), root.parent))
    elif root.exists():
        raise LabelError(f"{root}: neither a folder nor a json file or zip of labels.")
    else:
        raise LabelError(f"{root}: no such folder, json file or zip of labels.")
    return found


def _walk(root: Path, found: Found) -> Iterator[tuple[Path, list[str]]]:
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not is_hidden(name))
        found.left_by_macos += [os.path.join(folder, name) for name in names if name.startswith("._")]
        yield Path(folder), sorted(name for name in names if not is_hidden(name))


def _open(path: Path, found: Found) -> None:
    """Look into a zip as if it were extracted where it lies."""
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile):
        found.broken_zips.append(str(path))
        return
    folders = defaultdict(list)
    for name in sorted(archive.namelist()):
        parts = Path(name).parts
        if parts[-1].startswith("._"):
            found.left_by_macos.append(f"{path}/{name}")
        elif not name.endswith("/") and not any(map(is_hidden, parts)):
            folders[_unwrapped(path.parent.joinpath(*parts[:-1]), path.parent)].append(zipfile.Path(archive, name))
    for folder, files in folders.items():
        _sort(folder, files, found)


def _unwrapped(folder: Path, own: Path) -> Path:
    """Return `folder` of a zip in the folder `own`; without what is around it if `own` is a subset with pictures."""
    home = home_of(folder)
    return own / folder.absolute().relative_to(home) if home != own and called(own, IMAGES) else folder


def _sort(folder: Path, files: Iterable[Traversable], found: Found) -> None:
    """Tell labels and pictures of one folder apart."""
    files = list(files)
    found.sources += [Source((file,), folder) for file in files if file.name.lower().endswith(".json")]
    for file in files:
        if is_picture(file.name) and isinstance(file, Path):
            found.pictures.setdefault(folder, []).append(file)
        elif is_picture(file.name):
            found.zipped_pictures.append(str(file))
    if texts := tuple(file for file in files if file.name.lower().endswith(".txt")):
        known = Source(texts, folder).pictures
        listing = read_listing(files)
        is_label = [bool(file.name in listing or origin_of(file.name) or known.find(file.name)) for file in texts]
        found.other_texts += [str(file) for file, label in zip(texts, is_label, strict=True) if not label]
        found.sources += [Source(tuple(compress(texts, is_label)), folder, listing)] if any(is_label) else []


def looks_like_lld(folder: str | Path) -> bool:
    """Tell by the names of files and folders, of the first few hundred folders, if `folder` holds LLD's labels."""
    for place, below, files in islice(os.walk(folder), MOST_FOLDERS):
        if {normalise(name) for name in (Path(place).name, *below)} & {"json labels", "txt labels", "coco dataset"}:
            return True
        if any(name.lower() == "labels.zip" or (name.lower().endswith(".txt") and origin_of(name)) for name in files):
            return True
    return False
