from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from bloodfilm import Film, read_films, summarise, write_coco, write_report
from bloodfilm.cells import Cells, Field
from bloodfilm.cli import app
from bloodfilm.errors import UserError
from bloodfilm.synth import draw_field
from bloodfilm.vocabulary import LLD, Vocabulary

MATURE = ["Neutrophil", "Lymphocyte", "Monocyte", "Eosinophil", "Basophil"]
RECOUNT = Path(__file__).parents[2] / "benchmarks" / "report_check.py"


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str, attribute: str) -> list[str]:
        return [str(found[attribute]) for name, found in self.tags if name == tag and attribute in found]


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A COCO file with two drawn fields, what was found on them, and a model that knows mature types only."""
    fields = []
    for number in range(2):
        picture, cells = draw_field(320, 240, 3, seed=number, red_cell_diameter=30)
        path = tmp_path / f"{number}.png"
        Image.fromarray(picture).save(path)
        fields.append(Field(path, cells, 320, 240, name=path.name))
    write_coco(tmp_path / "found.json", fields, {"model": "wbc-n", "types": MATURE, "date": "2026-11-21"})
    return tmp_path / "found.json"


@pytest.fixture
def random_file(fields: list[Field], tmp_path: Path) -> Path:
    path = tmp_path / "apart" / "random.json"
    path.parent.mkdir()
    write_coco(path, fields)
    return path


def run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["report", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def recount() -> Any:
    spec = importlib.util.spec_from_file_location("report_check", RECOUNT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not RECOUNT.is_file(), reason="benchmarks are not here")
@pytest.mark.parametrize("name", ["random_file", "drawn"])
def test_a_recount_of_the_file_comes_to_the_same_numbers(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    file, out = request.getfixturevalue(name), tmp_path / "report.json"
    run(file, "--out", out)
    assert recount().check_report(file, out) == []
    content = json.loads(out.read_text())
    content["films"][0]["differential"][0]["count"] += 1
    out.write_text(json.dumps(content))
    assert len(recount().check_report(file, out)) >= 1


def test_a_page_needs_nothing_but_itself(drawn: Path, tmp_path: Path) -> None:
    run(drawn, "--out", tmp_path / "film.html")
    page = Page(tmp_path / "film.html")
    images = page.of("img", "src")
    assert len(images) == 6 + 2  # cells, fields
    assert all(image.startswith("data:image/jpeg;base64,") for image in images)
    assert not page.of("link", "href") + page.of("script", "src") + page.of("a", "href")
    assert "url(" not in (tmp_path / "film.html").read_text()
    assert page.text.count("not a diagnosis") >= 2
    assert "6 white cells were counted on 2 fields" in page.text


def test_what_a_model_cannot_name_is_not_reported_as_absent(drawn: Path, tmp_path: Path) -> None:
    run(drawn, "--out", tmp_path / "film.html", "--out", tmp_path / "film.json")
    page = Page(tmp_path / "film.html").text
    assert "Blasts: not assessed" in page
    assert "It cannot name myeloblast" in page
    blasts = json.loads((tmp_path / "film.json").read_text())["films"][0]["blasts"]
    assert (blasts["assessed"], blasts["count"], blasts["share"]) == (False, None, None)


@pytest.mark.parametrize(
    ("provenance", "found_by_model", "assessed"),
    [
        ({}, False, True),
        ({}, True, False),
        ({"model": "m"}, False, False),
        ({"model": "m", "types": MATURE}, True, False),
        ({"model": "m", "types": [*MATURE, "Monoblast"]}, True, True),
    ],
)
def test_no_blasts_are_reported_only_where_some_could_have_been_named(
    film_of: Callable[..., Film], provenance: dict[str, Any], found_by_model: bool, assessed: bool, tmp_path: Path
) -> None:
    film = film_of(("Neutrophil", "Basophil"))
    cells = replace(film.fields[0].cells, class_scores=[0.9 if found_by_model else float("nan")] * 2)
    film = replace(film, fields=(replace(film.fields[0], cells=cells),), provenance=provenance)
    write_report(tmp_path / "film.json", summarise(film))
    blasts = json.loads((tmp_path / "film.json").read_text())["films"][0]["blasts"]
    number = 0 if assessed else None
    assert (blasts["assessed"], blasts["count"], blasts["share"]) == (assessed, number, number)


def test_blasts_that_were_not_assessed_have_no_number_in_a_table(film: Film, tmp_path: Path) -> None:
    films = [replace(film, provenance=provenance) for provenance in ({}, {"model": "m", "types": MATURE})]
    bare = [replace(f, fields=tuple(replace(field, cells=field.cells[:0]) for field in f.fields)) for f in films]
    write_report(tmp_path / "films.csv", [summarise(film) for film in bare])
    assert pd.read_csv(tmp_path / "films.csv", dtype=str)["blasts_count"].fillna("").tolist() == ["0", ""]


def test_a_blast_that_a_person_named_is_reported(film: Film) -> None:
    summary = summarise(replace(film, provenance={"model": "m", "types": MATURE}))
    assert summary.counts.blasts["count"] > 0
    assert "It cannot name" in summary.notes[0]


def test_without_pictures_there_is_a_report_that_says_so(random_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "film.html"
    said = run(random_file, "--by", "file", "--out", out)
    assert "10 pictures could not be read" in said
    page = Page(out)
    assert not page.of("img", "src")
    assert "shown, their quality is not measured: 10 of 10" in page.text
    assert "blank" in page.of("div", "class")


def test_names_from_outside_are_text_in_a_page(random_file: Path, tmp_path: Path) -> None:
    run(random_file, "--by", "file", "--out", tmp_path / "film.html")
    page = Page(tmp_path / "film.html")
    assert "By Dr <b>Who</b>, 2026-11-21" in page.text


def test_the_review_is_told(film_of: Callable[..., Film], tmp_path: Path) -> None:
    film = film_of(("Neutrophil",) * 4, ("Basophil",), (), review=["accepted", "changed", "rejected", ""])
    write_report(tmp_path / "film.html", summarise(film))
    text = " ".join(Page(tmp_path / "film.html").text.split())
    assert "1 accepted, 1 changed, 1 rejected, 2 not reviewed, of 5 cells." in text
    assert "0 reviewed wholly, 1 in part, 1 not at all" in text


def test_doubtful_cells_are_listed_the_most_doubtful_first(film: Film) -> None:
    doubtful = summarise(film).doubtful
    assert len(doubtful) > 3
    assert doubtful["doubt"].is_monotonic_decreasing
    assert set(doubtful["status"]) == {"counted"}
    assert set(doubtful["review"]) == {""}


def test_several_films_have_an_index_that_leads_to_each(random_file: Path, tmp_path: Path) -> None:
    run(random_file, "--out", tmp_path / "all.html", "--out", tmp_path / "all.csv")
    index = Page(tmp_path / "all.html")
    links = index.of("a", "href")
    assert links == ["all-films/film-0.html", "all-films/film-1.html"]
    for link in links:
        page = Page(tmp_path / link)
        assert page.of("a", "href") == ["../all.html"]
    rows = pd.read_csv(tmp_path / "all.csv")
    assert rows["film"].tolist() == ["film 0", "film 1"]
    types = [name for name in rows if name.endswith(" count")]
    pd.testing.assert_series_equal(rows[types].sum(axis=1), rows["of_known_type"], check_names=False)


def test_pages_of_like_names_do_not_take_each_others_place(film: Film, tmp_path: Path) -> None:
    summary = summarise(film)
    summaries = [replace(summary, film=replace(film, name=name)) for name in ("a/b", "a b", "A:B", "..")]
    written = write_report(tmp_path / "all.html", summaries)
    assert len({str(path).lower() for path in written}) == 5
    assert {path.parent for path in written[1:]} == {tmp_path / "all-films"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "film.pdf"], "call the report"),
        (["--out", "film.html", "--by", "day"], "give auto"),
        (["--out", "film.html", "--pictures", "nowhere"], "no such folder"),
    ],
)
def test_a_call_that_cannot_be_carried_out_says_why(drawn: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["report", str(drawn), *arguments])
    assert isinstance(result.exception, UserError)
    assert re.search(message, str(result.exception))


def test_one_film_can_be_given_a_name_and_several_cannot(drawn: Path, random_file: Path, tmp_path: Path) -> None:
    assert "1 film, 6 cells counted" in run(drawn, "--out", tmp_path / "film.json", "--name", "slide 12")
    assert json.loads((tmp_path / "film.json").read_text())["films"][0]["film"] == "slide 12"
    refused = CliRunner().invoke(app, ["report", str(random_file), "--out", "a.html", "--name", "x"])
    assert "--name x: there are 2 films; with --by file" in str(refused.exception)


def test_a_film_without_cells_has_a_report(tmp_path: Path) -> None:
    write_coco(tmp_path / "a.json", [Field(tmp_path / "a.png", Cells.empty(LLD), 20, 20, name="a.png")])
    (film,) = read_films(tmp_path / "a.json")
    for suffix in ("html", "json", "csv"):
        write_report(tmp_path / f"film.{suffix}", summarise(film))
    assert "No white cell was counted on 1 field." in Page(tmp_path / "film.html").text
    assert json.loads((tmp_path / "film.json").read_text())["films"][0]["blasts"]["share"] is None


def test_a_table_has_no_empty_rows_on_windows(film: Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.linesep", "\r\n")
    write_report(tmp_path / "film.csv", summarise(film))
    assert b"\r" not in (tmp_path / "film.csv").read_bytes()


def test_a_type_that_a_film_lacks_has_a_share_of_nothing(film_of: Callable[..., Film], tmp_path: Path) -> None:
    films = [film_of(("Neutrophil", "Eosinophil")), film_of(("Neutrophil",) * 3)]
    write_report(tmp_path / "films.csv", [summarise(film) for film in films])
    rows = pd.read_csv(tmp_path / "films.csv")
    assert rows["Eosinophil count"].tolist() == [1, 0]
    assert rows["Eosinophil share"].tolist() == [0.5, 0]
    assert rows["Eosinophil low"][1] == 0 < rows["Eosinophil high"][1] < 1


def test_a_type_that_a_model_could_not_name_has_no_number(film_of: Callable[..., Film], tmp_path: Path) -> None:
    films = [film_of(("Neutrophil", "Myeloblast")), film_of(("Neutrophil",) * 3)]
    films[1] = replace(films[1], provenance={"model": "m", "types": MATURE})
    write_report(tmp_path / "films.csv", [summarise(film) for film in films])
    assert pd.read_csv(tmp_path / "films.csv", dtype=str)["Myeloblast count"].fillna("").tolist() == ["1", ""]


def test_a_type_of_another_vocabulary_has_no_number(film_of: Callable[..., Film], tmp_path: Path) -> None:
    film = film_of(("Neutrophil",))
    own = replace(film.fields[0], cells=Cells([[1, 1, 30, 30]], codes=[0], vocabulary=Vocabulary(("healthy",))))
    write_report(tmp_path / "films.csv", [summarise(film), summarise(replace(film, fields=(own,)))])
    rows = pd.read_csv(tmp_path / "films.csv", dtype=str).fillna("")
    assert rows[["Neutrophil count", "healthy count"]].to_numpy().tolist() == [["1", ""], ["", "1"]]
