"""Pictures of another size than their labels say: another copy of what was labelled, or another picture."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

from bloodfilm.errors import LabelError, Mended
from bloodfilm.io.lld.listing import Listed
from bloodfilm.io.lld.pictures import is_turned, lies_in, picture_size


def fitted(path: Path, found: Iterable[tuple[Listed, Path | None]]) -> list[tuple[Listed, Path | None]]:
    """Return the pictures that were `found` for what labels at `path` list, with their real sizes.

    What has another size than is listed, and lies in another folder, has no more than a name in common with the
    picture that was labelled, and counts as missing. Warnings tell of both.

    Raises
    ------
    LabelError
        If a picture lies turned beside what is listed, as its EXIF orientation has it shown.
    """
    found = list(found)
    sizes = {picture: _size(picture) for picture in {picture for _, picture in found}}
    scaled: dict[str, str] = {}
    missing: dict[str, str] = {}
    fits: list[tuple[Listed, Path | None]] = []
    for said, picture in found:
        size = sizes[picture] or said[1:]
        told = f"{size[0]} x {size[1]} px instead of {said.width} x {said.height}"
        if size == said[1:]:
            fits.append((said, picture))
        elif picture and size == (said.height, said.width) and is_turned(picture):
            raise LabelError(
                f"{path}: {picture} is {size[0]} x {size[1]} px, and labelled as it is shown, upright (EXIF "
                "orientation): save it upright, without that mark."
            )
        elif lies_in(picture, said.name):
            fits.append((Listed(said.name, *size), picture))
            scaled[said.name] = f"{said.name}, {told}"
        else:
            fits.append((said, None))
            missing[said.name] = f"{said.name}: {picture} has {told}"
    if scaled:
        count, example = len(scaled), next(iter(scaled.values()))
        message = f"{path}: {count} pictures have another size than it says; boxes are scaled, for instance {example}."
        warnings.warn(message, Mended, stacklevel=4)
    if missing:
        message = (
            f"{path}: {len(missing)} pictures count as missing: those of their name lie in another folder and have "
            f"another size than it says, for instance {next(iter(missing.values()))}."
        )
        warnings.warn(message, stacklevel=4)
    return fits


def _size(picture: Path | None) -> tuple[int, int] | None:
    try:
        return picture_size(picture) if picture else None
    except LabelError:
        return None
