"""Where the pictures of labels are: beside them or in the folders of the Large Leukemia Dataset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import tifffile
from PIL import ExifTags, Image

from bloodfilm.errors import LabelError
from bloodfilm.io.images import TIFF_SUFFIXES, is_picture, only_series
from bloodfilm.io.lld.names import IMAGES, folder_of, home_of, key


def picture_folders(labels: Path, split: str) -> list[Path]:
    """Return the folders where the pictures of labels in the folder `labels` can be, the likeliest first.

    LLD keeps ``<subset>/json_labels/train.json`` apart from ``<subset>/Images/train/``; the case of folder
    names differs between subsets.
    """
    labels = labels.absolute()
    above = [labels, *labels.parents]
    levels = above[: max(above.index(home_of(labels)), 1) + 1]
    tops = [labels, *(images for level in levels for images in called(level, IMAGES))]
    folders = [folder for top in tops for folder in (*called(top, split), top)]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def called(folder: Path, name: str) -> list[Path]:
    """Return what `folder` holds under `name` in any letter case; nothing if it cannot be listed."""
    try:
        return sorted(each for each in folder.iterdir() if each.name.lower() == name.lower())
    except OSError:
        return []


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures in `folder` in order of their names."""
    return sorted(path for path in folder.iterdir() if is_picture(path.name))


def picture_size(picture: Path) -> tuple[int, int]:
    """Return width and height of a picture without reading its pixels; raise `LabelError` if it has none."""
    try:
        if picture.suffix.lower() in TIFF_SUFFIXES:
            with tifffile.TiffFile(picture) as file:
                page = only_series(picture, file).keyframe
                return page.imagewidth, page.imagelength
        with Image.open(picture) as image:
            return image.size
    except Exception as error:  # noqa: BLE001  decoders raise anything on a broken file
        raise LabelError(f"{picture}: its size cannot be read ({error}).") from None


def is_turned(picture: Path) -> bool:
    """Tell if viewers show a picture turned by a quarter; False if Pillow cannot tell."""
    try:
        with Image.open(picture) as image:
            return int(image.getexif().get(ExifTags.Base.Orientation, 1)) >= 5
    except OSError:
        return False


class Pictures:
    """The pictures in some folders, by names that may differ in letter case and stray characters."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = list(folders)
        files = [path for folder in self.folders for path in pictures_in(folder)]
        self._by_name = {path.name: path for path in reversed(files)}
        self._by_key = {key(path.name): path for path in reversed(files)}

    def find(self, name: str) -> Path | None:
        """Return the picture `name`, which may have folders before it and lack a suffix, or None."""
        spelt = name.replace("\\", "/")
        deep = (folder / spelt for folder in self.folders if "/" in spelt)
        return (
            self._by_name.get(name)
            or next((path for path in deep if path.is_file()), None)
            or self._by_key.get(key(name))
        )


def find_all(names: Iterable[str], find: Callable[[str], Path | None]) -> dict[str, Path | None]:
    """Return what `find` says of each of `names`.

    Of names in several folders for which it finds one picture, only those that end that picture's path have it.
    """
    found = {name: find(name) for name in names}
    folders: dict[Path | None, set[str]] = defaultdict(set)
    for name, picture in found.items():
        folders[picture].add(folder_of(name))
    return {
        name: picture if len(folders[picture]) == 1 or lies_in(picture, name) else None
        for name, picture in found.items()
    }


def lies_in(picture: Path | None, name: str) -> bool:
    """Tell if `picture` lies in the folders that `name` has before it."""
    folder = folder_of(name)
    if picture is None or not folder:
        return picture is not None
    return picture.absolute().parent.as_posix().lower().endswith(f"/{folder.strip('/')}")


def pictures_beside(folder: Path, split: str = "") -> Pictures:
    """Return the pictures of labels in `folder`."""
    return Pictures(picture_folders(folder, split or folder.name))
