"""What COCO and GeoJSON both say of a picture and its boxes; numbers as the shortest decimals that read the same."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import AfterValidator, BaseModel, FiniteFloat, ValidationError
from pydantic import Field as Entry

from bloodfilm.cells import Cells, Field, Origin, Scale
from bloodfilm.errors import LabelError, UserError
from bloodfilm.io.images import is_picture
from bloodfilm.io.lld.names import origin_of
from bloodfilm.io.polygons import rectangles
from bloodfilm.vocabulary import LLD, Vocabulary, number_of


def _has_area(region: list[float]) -> list[float]:
    if len(region) == 4 and min(region[2:]) <= 0:
        raise ValueError("the region is empty; give x, y, width, height")
    if len(region) != 4 and (len(region) < 6 or len(region) % 2 or not len(rectangles(region))):
        raise ValueError("a region is x, y, width, height or a polygon x, y, x, y, x, y, ... that has an area")
    return region


Region = Annotated[list[FiniteFloat], AfterValidator(_has_area)]


class ImageEntry(BaseModel):
    """A picture, as ``images[]`` of a COCO file has it."""

    file_name: str
    width: int = Entry(gt=0)
    height: int = Entry(gt=0)
    source: str = ""
    scale: Scale | None = None
    novelty: float | None = None
    labelled_regions: list[Region] | None = None
    origin: Origin | None = None

    def resize(self, width: int, height: int) -> tuple[float, float]:
        """Take another size and scale the regions to it; return by how much boxes on the picture are scaled."""
        factors = width / self.width, height / self.height
        if factors != (1, 1):
            self.width, self.height, self.scale = width, height, None
            self.labelled_regions = self.labelled_regions and [
                [number * factors[place % 2] for place, number in enumerate(region)] for region in self.labelled_regions
            ]
        return factors

    def to_field(self, path: Path, cells: Cells, **others: Any) -> Field:
        """Return the field at `path` with `cells`, which get the scale and the novelty of the entry."""
        regions = None if self.labelled_regions is None else region_corners(self.labelled_regions)
        return Field(
            path,
            replace(cells, scale=self.scale, novelty=self.novelty),
            self.width,
            self.height,
            source=self.source,
            name=self.file_name,
            labelled_regions=regions,
            origin=self.origin or origin_of(self.file_name),
            **others,
        )


def image_entry(field: Field) -> dict[str, Any]:
    """Return what an `ImageEntry` of `field` holds, ready for JSON; what is not known is left out."""
    name, scale, regions = name_of(field), field.cells.scale, field.labelled_regions
    entry = {
        "file_name": name,
        "width": field.width,
        "height": field.height,
        "source": field.source or None,
        "scale": asdict(scale) if scale else None,
        "novelty": field.cells.novelty,
        "labelled_regions": None if regions is None else bboxes(regions),
        "origin": asdict(field.origin) if field.origin and field.origin != origin_of(name) else None,
    }
    return {key: value for key, value in entry.items() if value is not None}


def invalid(path: Traversable, error: ValidationError) -> LabelError:
    """Return the error to raise for a file whose content is not as it has to be: it tells the first place."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "top"
    return LabelError(f"{path}: {place}: {first['msg']} ({number_of(error.error_count(), 'such problem')}).")


def within(path: Path, fields: Sequence[Field]) -> list[Field]:
    """Return `fields` of the file at `path` with their cells' boxes cut at the edges of the pictures.

    Those without area inside are left out, with a warning.
    """
    kept, lost = [], []
    for field in fields:
        boxes = np.clip(field.cells.boxes, 0, np.array([field.width, field.height] * 2, np.float32))
        inside = np.asarray((boxes[:, :2] < boxes[:, 2:]).all(1))
        lost += [field.name] * int((~inside).sum())
        kept.append(replace(field, cells=replace(field.cells[inside], boxes=boxes[inside])))
    if lost:
        told = f"{len(lost)} boxes have no area inside their picture and are left out, the first on {lost[0]}"
        warnings.warn(f"{path}: {told}.", stacklevel=4)
    return kept


def name_of(field: Field) -> str:
    return field.name or str(field.path)


def label_files(names: Iterable[str], suffix: str, flat: bool = False) -> list[str]:
    """Return the names of the label files of pictures: theirs with another suffix, folders included.

    Names that lead out of a folder, and all if `flat`, are cut to their last part.

    Raises
    ------
    UserError
        If two pictures would have one file.
    """
    files: dict[str, str] = {}
    for name in names:
        path = PurePosixPath(name.replace("\\", "/"))
        path = PurePosixPath(path.name) if flat or path.is_absolute() or ".." in path.parts else path
        file = str(path.with_name((path.stem if is_picture(path.name) else path.name) + suffix))
        if file.casefold() in ("classes.txt", *files):
            raise UserError(f"{name}: another picture has labels called {file}, too; give them different names.")
        files[file.casefold()] = file
    return list(files.values())


def region_corners(regions: Sequence[Region]) -> npt.NDArray[np.float32]:
    """Return labelled regions as rectangles (R, 4), several for each polygon."""
    parts = [corners([region]) if len(region) == 4 else rectangles(region) for region in regions]
    return np.concatenate([np.empty((0, 4)), *parts]).astype(np.float32)


def corners(boxes: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """Return boxes given as x, y, width, height as x0, y0, x1, y1 (N, 4)."""
    array = np.array(boxes, float).reshape(-1, 4)
    array[:, 2:] += array[:, :2]
    return array


def bboxes(boxes: npt.NDArray[np.float32]) -> list[list[float]]:
    """Return boxes (N, 4) as x, y, width, height, of which `corners` makes the same boxes again."""
    exact = decimals(boxes)
    sides = exact[:, 2:] - exact[:, :2]
    tidy = sides.round(6)
    same = (exact[:, :2] + tidy).astype(np.float32) == boxes[:, 2:]
    listed: list[list[float]] = np.hstack([exact[:, :2], np.where(same, tidy, sides)]).tolist()
    return listed


def decimals(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the shortest decimals that are `values` in single precision: 0.1, not 0.10000000149."""
    return np.asarray(values, np.float32).astype(str).astype(float)


def plain(column: npt.NDArray[Any]) -> list[Any]:
    """Return a free column's values as JSON has them: numbers, truth values, words, None for what is missing."""
    if column.dtype == np.float32:
        column = decimals(column)
    values = [value.item() if isinstance(value, np.generic) else value for value in column.tolist()]
    return [None if _missing(v) else v if isinstance(v, bool | int | float | str) else str(v) for v in values]


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and not np.isfinite(value))


def columns(rows: Sequence[dict[str, Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return rows of a table as its columns, NaN where a row has nothing."""
    frame = pd.DataFrame(list(rows), index=range(len(rows)))
    empty = frame.isna().all()
    return {str(name): frame[name].to_numpy(float if empty[name] else None) for name in frame}


def shared_vocabulary(fields: Iterable[Field]) -> Vocabulary:
    """Return the vocabulary of all cells of `fields`; LLD's if there are no fields.

    Raises
    ------
    UserError
        If there are several.
    """
    first: Field | None = None
    for field in fields:
        if first is None or (len(field.cells) and not len(first.cells)):
            first = field
        elif len(field.cells) and field.cells.vocabulary != first.cells.vocabulary:
            raise UserError(
                f"The cells of {name_of(first)} and {name_of(field)} have types or attributes of different "
                "vocabularies: write them to different files."
            )
    return first.cells.vocabulary if first else LLD
