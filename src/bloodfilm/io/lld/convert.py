"""Write what was read of a data set in another format."""

from __future__ import annotations

from pathlib import Path

from bloodfilm import __version__
from bloodfilm.cells import Field
from bloodfilm.io.formats import SUFFIXES, named, write_new
from bloodfilm.io.lld.dataset import Dataset

PLACES = {
    "coco": "{split}.json",
    "csv": "{split}.csv",
    "geojson": "geojson/{split}",
    "lld-json": "json_labels/{split}.json",
    "txt12": "txt_labels/AttriDet/{split}",
    "yolo": "txt_labels/WBC_Detection/{split}",
}
"""Where in a subset's folder each format has the labels of a split."""


def write_dataset(dest: str | Path, dataset: Dataset, kind: str = "coco", whole: bool = False) -> list[Path]:
    """Write `dataset` in one of the formats of `PLACES`; return the files and folders written.

    With ``.json`` or ``.csv`` at its end, or if `whole`, `dest` becomes what holds everything; else a folder with a
    file or folder for each split as LLD has them, and a folder for each subset if there are several. `dest` may be
    the data set itself.

    Raises
    ------
    UserError
        If one of them is there already, or two pictures would get one name.
    """
    info = {"bloodfilm": __version__, "report": str(dataset.report).splitlines()}
    return write_new(_targets(Path(dest), dataset, kind, whole), kind, info)


def _targets(dest: Path, dataset: Dataset, kind: str, whole: bool) -> dict[Path, list[Field]]:
    if whole or dest.suffix.lower() in SUFFIXES:
        return {dest: dataset.fields}
    several = len({part.subset for part in dataset.parts}) > 1
    targets: dict[Path, list[Field]] = {}
    for part in dataset.parts:
        folder = dest / part.subset if several else dest
        targets.setdefault(folder / PLACES[named(kind).name].format(split=part.split or "all"), []).extend(part.fields)
    return targets
