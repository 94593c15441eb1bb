"""A matrix of scores as a picture, and as a page for a browser."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bloodfilm.palette import ramp

WIDTH, HEIGHT, LETTER = 90, 44, 8

STYLE = """body{font:15px sans-serif;margin:2em;max-width:75em}table{border-collapse:collapse;font-size:13px}
td,th{border:1px solid #ccc;padding:.3em .6em;text-align:right}th{background:#f3f3f3}"""


def svg(models: Sequence[str], truths: Sequence[str], values: Sequence[Sequence[float]], title: str = "AP50") -> str:
    """Draw `values` (models, truths), 0 to 1: rows are trained on, columns tested on; where both agree is framed."""
    left = LETTER * max(map(len, (*models, "trained on"))) + 20
    side = max(WIDTH, LETTER * max(map(len, truths)) + 10)
    width, height = left + side * len(truths) + 10, 70 + HEIGHT * len(models)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="10" y="20" font-weight="bold">{escape(title)}</text>',
        f'<text x="{left}" y="20">tested on</text>',
        '<text x="10" y="46">trained on</text>',
    ]
    for column, name in enumerate(truths):
        parts.append(_text(left + (column + 0.5) * side, 46, name, "middle"))
    for row, name in enumerate(models):
        parts.append(_text(left - 10, 60 + (row + 0.6) * HEIGHT, name, "end"))
        for column, value in enumerate(values[row]):
            parts.append(_cell(left + column * side, 60 + row * HEIGHT, side, value, name == truths[column]))
    return "\n".join([*parts, "</svg>"])


def page(picture: str, rows: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> str:
    """Return one HTML page with the `picture` (SVG), a table of all scores, and `notes` below."""
    hidden = ("model_sha256", "truth_sha256", "leakage")
    names = [name for name in rows[0] if name not in hidden]
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in names)
    lines = ["".join(f"<td>{escape(_word(row.get(name)))}</td>" for name in names) for row in rows]
    table = "".join(f"<tr>{line}</tr>" for line in lines)
    said = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Domain matrix</title><style>{STYLE}</style>'
        f"<h1>Domain matrix</h1><p>White cells of any type. Research software: not a diagnosis.</p>{picture}"
        f"<h2>Scores</h2><table><tr>{head}</tr>{table}</table><ul>{said}</ul></html>\n"
    )


def _cell(x: float, y: float, width: float, value: float, home: bool) -> str:
    if math.isnan(value):
        return _text(x + width / 2, y + 0.6 * HEIGHT, "none", "middle")
    red, green, blue = ramp([value])[0] * 255
    letters = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 120 else "white"
    frame = ' stroke="black" stroke-width="3"' if home else ""
    return (
        f'<rect x="{x + 2}" y="{y + 2}" width="{width - 4}" height="{HEIGHT - 4}" '
        f'fill="rgb({red:.0f},{green:.0f},{blue:.0f})"{frame}/>'
        + _text(x + width / 2, y + 0.6 * HEIGHT, f"{value:.3f}", "middle", letters)
    )


def _text(x: float, y: float, text: str, anchor: str, colour: str = "black") -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="13" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _word(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
