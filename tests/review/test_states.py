from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bloodfilm.cells import Cells, Field
from bloodfilm.io.coco import read_coco, write_coco
from bloodfilm.io.table import read_csv, write_csv
from bloodfilm.review.states import doubt, kept, with_review


def reviewed_as(cells: Cells, *states: str) -> Cells:
    return replace(cells, extra={"review": np.array(states, object)})


def test_rejected_cells_are_not_kept(cells: Cells) -> None:
    assert kept(reviewed_as(cells, "accepted", "rejected", "")).class_names == ["Neutrophil", "Myeloblast"]
    assert len(kept(cells)) == len(cells)


def test_doubt_is_that_cell_type_or_attributes_are_wrong(cells: Cells) -> None:
    found = doubt(cells)
    assert found[0] == pytest.approx(1 - 0.9 * 0.8 * 0.9)
    assert found[1] == 1, "a cell of unknown type is all doubt"
    assert found[2] == pytest.approx(1 - 0.7 * 0.6), "attributes that nobody read do not count"


def test_a_measure_that_contradicts_a_reading_raises_doubt_by_how_often_it_does_so_rightly(cells: Cells) -> None:
    size = cells.vocabulary.attribute_names.index("cell_size")
    scores = np.full((3, 7), 0.95)
    scores[1, size] = np.nan
    cells = replace(cells, codes=np.array([0, 0, 0]), class_scores=np.ones(3), attribute_scores=scores)
    noted = np.array(["nuclear_shape, cell_size", "cell_size", ""], object)
    found = doubt(replace(cells, scores=np.ones(3), extra={"contradicted": noted}))
    assert found == pytest.approx([1 - 19 / 24, 1 - 9 / 14, 0.05], abs=1e-6)


def test_a_label_is_sure_and_so_is_what_somebody_reviewed(cells: Cells) -> None:
    labels = replace(
        cells, scores=np.ones(3), class_scores=np.full(3, np.nan), attribute_scores=np.full((3, 7), np.nan)
    )
    assert doubt(labels).tolist() == [0, 1, 0]
    assert doubt(reviewed_as(cells, "accepted", "changed", "rejected")).tolist() == [0, 0, 0]


def test_what_is_no_state_counts_as_unreviewed() -> None:
    frame = with_review(
        pd.DataFrame({"review": ["accepted", np.nan, 3, "Accepted"], "reviewer": [np.nan, "Ada", "", 1]})
    )
    assert list(frame["review"]) == ["accepted", "", "", ""]
    assert list(frame["reviewer"]) == ["", "Ada", "", "1"]
    assert list(frame["reviewed_at"]) == [""] * 4


@pytest.mark.filterwarnings("ignore:.*not beside it")
def test_further_columns_outlive_coco_and_csv(cells: Cells, tmp_path: Path) -> None:
    extra = {
        "review": np.array(["accepted", "", "rejected"], object),
        "reviewer": np.array(["Ада „x“\n", "", "0012"], object),
        "area": np.array([1.25, np.nan, 1e-9]),
        "lobes": np.array([1, 2, 3]),
        "seen": np.array([True, False, True]),
    }
    cells = replace(cells, extra=extra)
    fields = [
        Field(tmp_path / "a.png", cells, 200, 160, name="a.png"),
        Field(tmp_path / "b.png", cells[:0], 9, 9, name="b.png"),
    ]
    write_coco(tmp_path / "cells.json", fields)
    write_csv(tmp_path / "cells.csv", fields)
    coco = read_coco(tmp_path / "cells.json")[0].cells
    for name, values in extra.items():
        np.testing.assert_array_equal(coco.extra[name], values)
        assert coco.extra[name].dtype.kind == values.dtype.kind
    csv = read_csv(tmp_path / "cells.csv")[0].cells
    back = with_review(pd.DataFrame(csv.extra))
    assert list(back["review"]) == list(extra["review"])
    np.testing.assert_array_equal(kept(csv).boxes, kept(cells).boxes)
