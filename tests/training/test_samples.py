from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from bloodfilm.cells import Field
from bloodfilm.training.samples import draw_samples


def test_pictures_of_one_name_do_not_replace_each_other(fields: list[Field], tmp_path: Path) -> None:
    twins = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        twins.append(replace(fields[0], path=Path(shutil.copy(fields[0].path, folder / "1.png"))))
    draw_samples(tmp_path / "samples", "after", twins, [field.cells for field in twins])
    assert len(list((tmp_path / "samples").iterdir())) == 2
