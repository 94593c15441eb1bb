from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from bloodfilm.cells import Cells, Field
from bloodfilm.io.merge import merge_pictures


def test_a_picture_listed_again_and_again_is_one_field_with_all_cells() -> None:
    names = ["a.png", "b.png", "a.png"]
    fields = [Field(Path(name), Cells([[i, 1, 50, 60]], [3]), 640, 640, name=name) for i, name in enumerate(names)]
    merged = merge_pictures(fields)
    assert [(f.name, f.cells.boxes[:, 0].tolist()) for f in merged] == [("a.png", [0, 2]), ("b.png", [1])]


def test_pictures_of_one_name_in_two_folders_or_of_two_sources_are_two() -> None:
    fields = [Field(Path(folder, "a.png"), Cells.empty(), 640, 640, name="a.png") for folder in ("x", "y")]
    assert len(merge_pictures(fields)) == 2
    assert len(merge_pictures([replace(fields[0], source=name) for name in ("H_100X_C1", "H_100X_C2")])) == 2


def test_a_merged_picture_keeps_what_is_to_be_ignored() -> None:
    box = np.array([[100, 10, 160, 70]], np.float32)
    fields = [Field(Path("a"), Cells.empty(), 640, 640, box, auxiliary={"platelet": box}) for _ in range(2)]
    (merged,) = merge_pictures(fields)
    assert (len(merged.ignored), len(merged.auxiliary["platelet"])) == (2, 2)


def test_a_merged_picture_keeps_what_only_some_of_its_entries_say() -> None:
    region, review = np.array([[0, 0, 99, 99]], np.float32), {"review": np.array(["rejected"], object)}
    first = Field(Path("a"), Cells([[1, 1, 9, 9]], extra=review), 640, 640, complete=frozenset({"platelet"}))
    second = replace(first, cells=Cells([[20, 20, 40, 40]]), complete=frozenset())
    (merged,) = merge_pictures([replace(each, labelled_regions=region) for each in (first, second)])
    assert merged.cells.extra["review"][0] == "rejected"
    assert (len(merged.labelled_regions), merged.complete) == (2, frozenset())
    (merged,) = merge_pictures([first, replace(second, labelled_regions=region)])
    assert merged.labelled_regions is None
