"""Fields labelled in part, to train on: read, and refused with file and row if regions and cells do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bloodfilm.cells import Field
from bloodfilm.errors import LabelError
from bloodfilm.io.annotated import check_format, with_pictures
from bloodfilm.io.coco import CocoFile, auxiliary, looks_like_coco, parse_coco, read_coco
from bloodfilm.io.entry import region_corners
from bloodfilm.io.formats import REJECTED, REVIEW
from bloodfilm.io.lld.dataset import read_lld
from bloodfilm.vocabulary import LLD

SLACK = 2
"""Pixels by which a region may leave its picture, and the middle of a cell its region."""

MOST_TOLD = 20


def read_sparse(path: str | Path) -> tuple[list[Field], list[str]]:
    """Read a COCO file, or what `read_lld` reads; return its fields and what is to be said about them.

    Of data sets with several splits, test is left out; so are pictures that are not there, with a warning.

    Raises
    ------
    LabelError
        That names each row that is wrong: a region that is empty or leaves its picture, or a cell outside of the
        regions. Also if no picture has a region.
    """
    path = Path(path)
    check_format(path)
    if looks_like_coco(path):
        content = parse_coco(path)
        wrong, fields, notes = _misfits(path, content), with_pictures(read_coco(path), path), []
    else:
        dataset = read_lld(path)
        wrong, notes = dataset.misfits, [*dataset.report.notes, *dataset.report.skipped]
        parts, left_out = dataset.parts_to(test=False)
        notes += left_out
        fields = [field for part in parts for field in part.fields]
    if wrong:
        more = [f"... and {len(wrong) - MOST_TOLD} more."] if len(wrong) > MOST_TOLD else []
        raise LabelError("\n".join(wrong[:MOST_TOLD] + more))
    if not any(field.labelled_regions is not None and len(field.labelled_regions) for field in fields):
        raise LabelError(
            f"{path}: no picture says which region of it was labelled; sladet needs that, attridet does not."
        )
    return fields, notes


def _misfits(path: Path, content: CocoFile) -> list[str]:
    wrong, regions = [], {}
    others = {each.id for each in content.categories if auxiliary(each.name, content.vocabulary or LLD)}
    for number, image in enumerate(content.images):
        if image.labelled_regions is None:
            continue
        regions[image.id] = (image.file_name, region_corners(image.labelled_regions))
        for row, region in enumerate(image.labelled_regions):
            corners, size = region_corners([region]), np.array([image.width, image.height])
            if (corners[:, :2] < -SLACK).any() or (corners[:, 2:] > size + SLACK).any():
                place = f"images.{number}.labelled_regions.{row}"
                wrong.append(f"{path}: {place}: {region} leaves {image.file_name}, {image.width} x {image.height} px.")
    for number, annotation in enumerate(content.annotations):
        rejected = annotation.extra.get(REVIEW) == REJECTED
        if annotation.image_id not in regions or annotation.iscrowd or annotation.category_id in others or rejected:
            continue
        name, own = regions[annotation.image_id]
        x, y, width, height = annotation.bbox
        middle = np.array([x + width / 2, y + height / 2])
        if not ((middle >= own[:, :2] - SLACK) & (middle <= own[:, 2:] + SLACK)).all(1).any():
            where = "lies in no labelled region of" if len(own) else "lies on a picture without labelled region,"
            wrong.append(f"{path}: annotations.{number}: the middle of {list(annotation.bbox)} {where} {name}.")
    return wrong
