"""Recount what a report says, from the file it was made of, with plain Python; and how often its intervals hold.

    python benchmarks/report_check.py --draw build/cohort      # 20 drawn films, detected, reported, recounted
    python benchmarks/report_check.py FOUND.json REPORT.json   # recount any
    python benchmarks/report_check.py --coverage

Ends with status 1 if a number differs.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from scipy.stats import norm, t

BLASTS = {"Myeloblast", "Lymphoblast", "Monoblast", "Promonocyte", "Abnormal promyelocyte"}
FILMS, FIELDS, WHITE_CELLS = 20, 6, (2, 9)
FEWEST = 20
"""Cells of a known type from which on a type is called predominant."""


def film_of(name: str, by: str) -> str:
    if by == "patient":
        return "patient " + Path(name).name.split("_")[0]
    parts = [part for part in name.split("/")[:-1] if part.lower() not in ("images", "train", "test")]
    return "/".join(parts)


def wilson(count: int, total: int, z: float = 1.959963984540054) -> tuple[float, float]:
    centre = (count + z * z / 2) / (total + z * z)
    half = z * math.sqrt(count * (total - count) / total + z * z / 4) / (total + z * z)
    return max(centre - half, 0), min(centre + half, 1)


def bootstrap(counts: list[int], totals: list[int], draws: int = 5000) -> tuple[list[float], list[float]]:
    """Return between which values each end of the interval lies, as chance of the draws goes."""
    n = len(totals)
    if n < 2:
        return [1.0, 1.0], [0.0, 0.0]
    rng, found = random.Random(1), []
    for _ in range(draws):
        drawn = rng.choices(range(n), k=n)
        if whole := sum(totals[place] for place in drawn):
            found.append(sum(counts[place] for place in drawn) / whole)
    found.sort()
    tail = norm.sf(math.sqrt(n / (n - 1)) * t.ppf(0.975, n - 1))
    slack = 5 * math.sqrt(tail / 5000)
    places = [max(round((tail + side * slack) * len(found)), 0) for side in (-1, 1)]
    return [found[place] for place in places], [found[-1 - place] for place in reversed(places)]


def recount(found: dict[str, Any], by: str, min_score: float) -> dict[str, dict[str, Any]]:
    """Return cells, types by field, blasts and attributes of each film, straight from the lists of a COCO file."""
    types = {category["id"]: category["name"] for category in found["categories"]}
    names = {image["id"]: image["file_name"] for image in found["images"]}
    films: dict[str, dict[str, Any]] = {}
    for name in names.values():
        film = films.setdefault(film_of(name, by), {"fields": {}, "out": Counter(), "attributes": defaultdict(Counter)})
        film["fields"][name] = Counter()
    for cell in found["annotations"]:
        name, kind = names[cell["image_id"]], types[cell["category_id"]]
        film, review = films[film_of(name, by)], cell.get("extra", {}).get("review", "")
        if cell.get("iscrowd") or kind in ("red blood cell", "platelet"):
            continue
        if review == "rejected":
            film["out"]["rejected"] += 1
        elif kind.lower() == "none":
            film["out"]["artefacts"] += 1
        elif not review and cell.get("score", 1) < min_score:
            film["out"]["below_min_score"] += 1
        else:
            film["fields"][name][kind] += 1
            for attribute, word in cell.get("attributes", {}).items():
                for group in (kind, "all types"):
                    film["attributes"][group, attribute][word] += 1
    return films


def differences(film: dict[str, Any], said: dict[str, Any]) -> list[str]:
    """Return what a report says of a film, and a recount does not."""
    wrong = []

    def check(what: str, counted: object, told: object, tolerance: float = 1e-5) -> None:
        if isinstance(counted, float) and isinstance(told, int | float):
            same = abs(counted - told) <= tolerance
        else:
            same = counted == told
        if not same:
            wrong.append(f"{said['film']}: {what}: counted {counted}, reported {told}")

    fields = list(film["fields"].values())
    counts: Counter[str] = sum(fields, Counter())
    known = {kind: n for kind, n in counts.items() if kind != "unknown type"}
    totals, total = [sum(field[kind] for kind in known) for field in fields], sum(known.values())
    check("fields", len(fields), said["fields"])
    check("cells", sum(counts.values()), said["counted"])
    check("of unknown type", counts["unknown type"], said["of_unknown_type"])
    for what in ("artefacts", "rejected", "below_min_score"):
        check(what, film["out"][what], said[what])
    check("types", known, {row["type"]: row["count"] for row in said["differential"]})
    groups = {row["type"]: ({row["type"]}, row) for row in said["differential"]}
    if said["blasts"]["assessed"] and total:
        groups["blasts"] = (BLASTS, said["blasts"])
    for what, (kinds, row) in groups.items():
        each = [sum(field[kind] for kind in kinds) for field in fields]
        drawn, independent = bootstrap(each, totals), wilson(sum(each), total)
        check(f"{what}, cells", sum(each), row["count"])
        check(f"{what}, share", sum(each) / total, row["share"])
        for end, name, outer in ((0, "low", min), (1, "high", max)):
            least, most = (outer(value, independent[end]) for value in drawn[end])
            if not least - 1e-5 <= row[name] <= most + 1e-5:
                wrong.append(f"{said['film']}: {what}: {name} is {row[name]}, not from {least} to {most}")
    most = max(known.values(), default=0) if sum(known.values()) >= FEWEST else math.inf
    check("dominant types", {kind for kind, n in known.items() if n == most}, set(said["dominant_types"]))
    for row in said["morphology"]:
        own = film["attributes"][row["type"], row["attribute"]]
        check(f"{row['type']}, {row['attribute']} {row['value']}", own[row["value"]], row["count"])
        check(f"{row['type']}, {row['attribute']}", sum(own.values()), row["of"])
    check("cells of each field", {n: sum(c.values()) for n, c in film["fields"].items()}, dict(counted(said)))
    check("first sentence", sum(counts.values()), int(re.match(r"(\d+|No)", said["text"][0])[0].replace("No", "0")))
    return wrong


def counted(said: dict[str, Any]) -> list[tuple[str, int]]:
    return [(picture["image"], picture["counted"]) for picture in said["pictures"]]


def check_report(found: Path, report: Path) -> list[str]:
    said = {film["film"]: film for film in json.loads(report.read_text())["films"]}
    first = next(iter(said.values()))
    films = recount(json.loads(found.read_text()), first["grouped_by"], first["settings"]["min_score"])
    if "" in films:  # pictures without a folder are named after the file
        films[next(iter(set(said) - set(films)), "")] = films.pop("")
    if set(films) != set(said):
        return [f"films: counted {sorted(films)}, reported {sorted(said)}"]
    return [line for name in films for line in differences(films[name], said[name])]


def draw_cohort(folder: Path) -> tuple[Path, Path]:
    """Draw films of several densities, find their cells with the shipped model, report them; return both files."""
    from PIL import Image

    from bloodfilm.synth import draw_field

    rng = random.Random(0)
    for film in range(FILMS):
        cells = rng.randint(*WHITE_CELLS)
        for field in range(FIELDS):
            path = folder / "pictures" / f"film {film + 1:02}" / f"field {field + 1}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture, _ = draw_field(
                800, 600, max(cells + rng.randint(-2, 2), 0), 1000 * film + field, rng.uniform(44, 60)
            )
            Image.fromarray(picture).save(path)
    found, report = folder / "found", folder / "cohort"
    bloodfilm("detect", folder / "pictures", "--out", found)
    bloodfilm(
        "report", found, *(part for s in ("html", "json", "csv") for part in ("--out", report.with_suffix(f".{s}")))
    )
    return found / "cells.json", report.with_suffix(".json")


def bloodfilm(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "bloodfilm", *map(str, arguments)], check=True)


def print_coverage(films: int = 500) -> None:
    """Draw films whose fields differ, and print how often each interval holds the true share."""
    import numpy as np
    import pandas as pd
    from scipy.stats import binomtest

    from bloodfilm.film.count import shares

    print("| fields | cells a field | true share | fields differ | report | Wilson alone | width of the report's |")
    print("|---|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for fields, cells, share, alike in [
        (n, c, p, a) for n, c in ((5, 6), (10, 10), (40, 5)) for p in (0.02, 0.2, 0.5) for a in (None, 10.0)
    ]:
        holds, narrow, widths = [], [], []
        for seed in range(films):
            totals = rng.poisson(cells, fields)
            if not totals.sum():
                continue
            own = share if alike is None else rng.beta(share * alike, (1 - share) * alike, fields)
            hits = rng.binomial(totals, own)
            row = shares(pd.DataFrame({"type": hits}), pd.Series(totals), seed).loc["type"]
            wilson_ = binomtest(int(hits.sum()), int(totals.sum())).proportion_ci(method="wilson")
            holds.append(row["low"] <= share <= row["high"])
            narrow.append(wilson_.low <= share <= wilson_.high)
            widths.append(row["high"] - row["low"])
        held = [f"{np.mean(each):.1%}" for each in (holds, narrow)]
        differ = "no" if alike is None else "yes"
        row = [fields, cells, f"{share:.0%}", differ, *held, f"{np.mean(widths):.2f}"]
        print(f"| {' | '.join(map(str, row))} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*", metavar="FOUND.json REPORT.json")
    parser.add_argument("--draw", type=Path)
    parser.add_argument("--coverage", action="store_true")
    given = parser.parse_args()
    if given.coverage:
        print_coverage()
        return
    found, report = draw_cohort(given.draw) if given.draw else given.files
    wrong = check_report(found, report)
    print(*wrong, f"{len(wrong)} numbers differ", sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
