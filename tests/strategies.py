"""Any cells, vocabularies and fields, for hypothesis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from bloodfilm.cells import Cells, Field, Origin, Scale
from bloodfilm.vocabulary import AUXILIARY, LLD, UNKNOWN, Attribute, Vocabulary, auxiliary_kind, normalise

LETTERS = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/\\`\u2028\u2029")
words = st.text(LETTERS, min_size=1, max_size=12)
names = words.map(str.strip).filter(lambda name: name[:1] not in ("", ".") and len(name.encode()) < 100)


@st.composite
def vocabularies(draw: st.DrawFn) -> Vocabulary:
    """LLD's, or one of any words that `Vocabulary` accepts."""
    if draw(st.booleans()):
        return LLD
    several = st.lists(words, max_size=4, unique_by=normalise)
    classes = tuple(name for name in draw(several) if not auxiliary_kind(name))
    attributes = tuple(Attribute(name, tuple(draw(several))) for name in draw(several))
    try:
        return Vocabulary(classes, attributes)
    except ValueError:
        return LLD


def fractions(size: int, missing: bool = False) -> st.SearchStrategy[list[float]]:
    values = st.floats(0, 1, width=32)
    return st.lists(values | st.just(np.nan) if missing else values, min_size=size, max_size=size)


@st.composite
def cells(draw: st.DrawFn, vocabulary: Vocabulary, width: int, height: int, min_side: float = 0.0625) -> Cells:
    """Cells inside a picture of `width` and `height`, with scores where something is known and further columns."""
    n = draw(st.integers(0, 3))
    near = [draw(st.floats(0, float(np.float32(side - 4)), width=32)) for side in (width, height) * n]
    sides = [draw(st.floats(min_side, 4, width=32)) for _ in range(2 * n)]
    start = np.array(near, np.float32).reshape(n, 2)
    boxes = np.hstack([start, start + np.array(sides, np.float32).reshape(n, 2)])
    codes = draw(st.lists(st.integers(UNKNOWN, len(vocabulary.classes) - 1), min_size=n, max_size=n))
    values = [[draw(st.integers(UNKNOWN, count - 1)) for count in vocabulary.value_counts] for _ in range(n)]
    attributes = np.array(values, np.int16).reshape(n, len(vocabulary.attributes))
    told = np.array(draw(fractions(attributes.size, missing=True)), np.float32).reshape(attributes.shape)
    class_scores = np.array(draw(fractions(n, missing=True)), np.float32)
    extra = {
        "area µm²": st.floats(-1e6, 1e6) | st.just(np.nan),
        "lobes": st.integers(-(2**53), 2**53),
        "reviewer": words,
        "accepted": st.booleans(),
        "depth": st.floats(-1e6, 1e6, width=32),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(extra))))
    columns = {key: np.array(draw(st.lists(extra[key], min_size=n, max_size=n))) for key in sorted(chosen)}
    return Cells(
        boxes,
        codes,
        draw(st.just([1.0] * n) | fractions(n)),
        np.where(np.array(codes) == UNKNOWN, np.nan, class_scores),
        attributes,
        np.where(attributes == UNKNOWN, np.nan, told),
        vocabulary,
        {key: column.astype(object) if column.dtype.kind == "U" else column for key, column in columns.items()},
        draw(st.none() | scales),
        draw(st.none() | st.floats(0, 100)),
    )


positive = st.floats(1e-3, 1e3)
scales = st.builds(Scale, st.tuples(positive, positive), positive, st.integers(0, 999), st.booleans(),
                   st.tuples(positive, positive))  # fmt: skip
origins = st.builds(
    Origin, names, st.integers(0, 99), st.none() | st.integers(0, 9), st.just(400), st.sampled_from(["AML", "CLL"])
)


@st.composite
def fields(draw: st.DrawFn, folder: Path, vocabulary: Vocabulary, name: str, side: int = 0) -> Field:
    """A field called `name` in `folder`, where its picture is not; of `side` pixels a side if that is given."""
    width, height = (side, side) if side else (draw(st.integers(8, 100_000)), draw(st.integers(8, 100_000)))
    boxes = cells(vocabulary, width, height).map(lambda each: each.boxes)
    auxiliary = {kind: draw(boxes) for kind in AUXILIARY if draw(st.booleans())}
    return Field(
        folder / name,
        draw(cells(vocabulary, width, height)),
        width,
        height,
        ignored=draw(boxes),
        source=draw(st.text(LETTERS, max_size=5)),
        name=name,
        auxiliary=auxiliary,
        complete=frozenset(kind for kind in auxiliary if draw(st.booleans())),
        labelled_regions=draw(st.none() | boxes),
        origin=draw(st.none() | origins),
    )


@st.composite
def films(draw: st.DrawFn, folder: Path, vocabulary: Vocabulary | None = None, side: int = 0) -> list[Field]:
    """Up to three fields of one vocabulary, their names any that files can have."""
    vocabulary = vocabulary or draw(vocabularies())
    said = draw(st.lists(names, max_size=3, unique_by=str.casefold))
    return [draw(fields(folder, vocabulary, f"{name}.png", side)) for name in said]
