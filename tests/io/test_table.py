from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import LabelError
from bloodfilm.io.table import read_csv, to_table, write_csv
from bloodfilm.vocabulary import LLD


def test_what_is_written_is_read_again(field: Field, tmp_path: Path) -> None:
    other = replace(field, cells=field.cells[1:], name="other.png")
    write_csv(tmp_path / "cells.csv", [field, other])
    with pytest.warns(UserWarning, match=r"cells.csv: 1 pictures are not beside it, for instance other.png"):
        first, second = read_csv(tmp_path / "cells.csv")
    assert (first.name, first.path, first.width, first.height) == (field.name, field.path, 200, 160)
    assert (second.name, second.width, second.height) == ("other.png", 150, 140)
    np.testing.assert_array_equal(second.cells.attribute_scores, other.cells.attribute_scores)


@pytest.mark.parametrize("names", [["0042", "12"], ["1234e567", "5"], ["12", ""]])
def test_who_reviewed_stays_a_word(names: list[str], tmp_path: Path) -> None:
    words = {name: np.array(names, object) for name in ("id", "reviewer")}
    cells = Cells([[1, 1, 9, 9], [2, 2, 8, 8]], extra=words)
    write_csv(tmp_path / "cells.csv", [Field(tmp_path / "a.png", cells, 20, 20, name="a.png")])
    with pytest.warns(UserWarning, match="a.png"):
        (again,) = read_csv(tmp_path / "cells.csv")
    assert [list(again.cells.extra[column]) for column in ("id", "reviewer")] == [names, names]


def test_the_class_none_is_read_again(tmp_path: Path) -> None:
    field = Field(tmp_path / "a.png", Cells([[1, 1, 9, 9]], codes=[LLD.class_code("None")]), 20, 20, name="a.png")
    write_csv(tmp_path / "cells.csv", [field])
    with pytest.warns(UserWarning, match="a.png"):
        assert read_csv(tmp_path / "cells.csv")[0].cells.class_names == ["None"]


def test_a_row_says_picture_box_type_scores_and_attributes(field: Field) -> None:
    table = to_table([field])
    assert list(table)[:8] == ["image", "x0", "y0", "x1", "y1", "class", "score", "class_score"]
    assert list(table)[8:] == [n for a in LLD.attribute_names for n in (a, f"{a}_score")]
    assert table.loc[0, ["image", "x0", "y1", "class", "cell_size"]].tolist() == [
        *("images/field.png", 10, 80, "Neutrophil", "large")
    ]


def test_words_of_pictures_without_cells_do_not_change_the_table(field: Field) -> None:
    empty = replace(field, cells=Cells.empty())
    pd.testing.assert_frame_equal(to_table([empty, field]), to_table([field]))


@pytest.mark.parametrize("pictures", [0, 1])
def test_without_cells_a_table_is_its_header(field: Field, tmp_path: Path, pictures: int) -> None:
    write_csv(tmp_path / "cells.csv", [replace(field, cells=Cells.empty())] * pictures)
    assert (tmp_path / "cells.csv").read_text().splitlines() == [",".join(to_table([field]))]
    assert read_csv(tmp_path / "cells.csv") == []


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "a,b\n1,2\n",
        "image,x0,y0,x1\na.png,1,2,3\n",
        "image,x0,y0,x1,y1\na.png,9,9,1,1\n",
        "image,x0,y0,x1,y1\na,w,0,1,1",
    ],
    ids=["missing", "empty", "other columns", "no y1", "inside out", "a word for a number"],
)
def test_what_is_no_table_of_cells_is_an_error_with_its_name(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "cells.csv").write_text(content)
    with pytest.raises(LabelError, match=r"cells\.csv: "):
        read_csv(tmp_path / "cells.csv")


def test_each_row_says_the_novelty_of_its_picture(field: Field) -> None:
    known = replace(field, cells=replace(field.cells, novelty=1.5), name="known.png")
    assert "novelty" not in to_table([field])
    table = to_table([field, known])
    assert table["novelty"].isna().tolist() == [True] * 3 + [False] * 3
    assert table["novelty"].iloc[-1] == 1.5


def test_boxes_are_cut_at_the_edge_of_their_picture_and_left_out_beyond_it(field: Field, tmp_path: Path) -> None:
    Image.new("RGB", (100, 80)).save(tmp_path / "a.png")
    corners = [[90, 70, 120, 100], [110, 10, 130, 30], [-5, 10, 20, 30]]
    write_csv(tmp_path / "cells.csv", [Field(tmp_path / "a.png", Cells(corners), 200, 160, name="a.png")])
    with pytest.warns(UserWarning, match=r"cells.csv: 1 boxes have no area inside .* the first on a.png"):
        (again,) = read_csv(tmp_path / "cells.csv")
    assert again.cells.boxes.tolist() == [[90, 70, 100, 80], [0, 10, 20, 30]]
