"""Kill a process with SIGKILL at random moments while it reviews cells, and look what its journal still has.

    python benchmarks/kill_while_reviewing.py --kills 50

Each time a process edits a layer of cells as fast as it can, through the review and with napari's own tools, and
tells each edit once it is accepted, with a digest of all cells. It is killed, and the journal has to give the
cells of the last edit that was told, or of the one behind it. Ends with 1 if it does not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import select
import signal
import sys
import tempfile
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
from napari.layers import Shapes

from bloodfilm.cells import Cells
from bloodfilm.io.table import read_csv, write_csv
from bloodfilm.napari.layers import cells_layer
from bloodfilm.napari.review import Review
from bloodfilm.napari.writer import layer_fields
from bloodfilm.review.journal import left, read

CELLS = 60
TYPES = ("Neutrophil", "Lymphocyte", "Myeloblast")


def digest(table: pd.DataFrame) -> str:
    """Return a hash of all that a table of cells holds."""
    words = table.map(lambda value: value.tolist() if isinstance(value, np.ndarray) else str(value))
    return hashlib.sha256(json.dumps([list(table.index), words.to_numpy(object).tolist()]).encode()).hexdigest()


def make_layer(picture: Path) -> Shapes:
    corner = np.random.default_rng(0).uniform(0, 900, (CELLS, 2))
    cells = Cells(np.hstack([corner, corner + 50]), scores=np.linspace(0.3, 1, CELLS))
    arguments = cells_layer(cells, "cells", metadata={"source": str(picture)})
    return Shapes(arguments.pop("data"), **arguments)


def edit_for_ever(picture: Path, tell: int, seed: int) -> None:
    """Edit cells at random; write to the pipe `tell` a line after each edit that was accepted."""
    layer, chance = make_layer(picture), random.Random(seed)
    review = Review.of(layer)
    review.changed.connect(lambda ids: os.write(tell, f"{digest(review.table)}\n".encode()))
    for number in count(1):
        edit(review, chance)
        if number % 7 == 0:
            write_csv(picture.with_suffix(".csv"), layer_fields(layer.data, layer.as_layer_data_tuple()[1]))


def edit(review: Review, chance: random.Random) -> None:
    """Make one edit of any kind."""
    layer, ids = review.layer, review.ids
    some = chance.sample(ids, min(chance.randint(1, 5), len(ids)))
    kind = chance.choice(("accept", "reject", "class", "attribute", "draw", "delete", "move", "table", "undo", "redo"))
    if kind in ("accept", "reject"):
        getattr(review, kind)(some)
    elif kind == "class":
        review.set_class(some, chance.choice(TYPES))
    elif kind == "attribute":
        review.set_attribute(some, "nucleolus", chance.choice(("inconspicuous", "prominent")))
    elif kind == "draw":
        layer.add(np.array([[0, 0], [0, 9], [9, 9], [9, 0]]) + chance.randint(0, 500), shape_type="rectangle")
    elif kind == "delete" and len(ids) > CELLS // 2:
        layer.remove([ids.index(cell) for cell in some])
    elif kind == "move":
        layer.data = [shape + (row == 3) for row, shape in enumerate(layer.data)]
    elif kind == "table":
        layer.features.loc[2, "class"] = chance.choice([t for t in TYPES if t != layer.features.loc[2, "class"]])
        review.sync()
    elif kind in ("undo", "redo"):
        getattr(review, kind)()


def kill_once(picture: Path, chance: random.Random) -> tuple[int, int]:
    """Let a process edit and kill it; return the number of edits told, and those in its journal."""
    listen, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(listen)
        edit_for_ever(picture, tell, chance.randrange(2**30))
    os.close(tell)
    told = os.read(listen, 65)
    select.select([], [], [], chance.uniform(0, 0.8))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while part := os.read(listen, 2**16):
        told += part
    os.close(listen)
    return check(picture, told.decode().splitlines())


def check(picture: Path, told: list[str]) -> tuple[int, int]:
    (journal,) = left(picture, "cells")
    found = read(journal)
    assert not found.problem, found.problem
    assert found.edits in (len(told), len(told) + 1), f"{found.edits} edits kept, {len(told)} told"
    lines = journal.read_bytes().split(b"\n")
    journal.write_bytes(b"\n".join(lines[: len(told) + 1]) + b"\n")
    assert digest(read(journal).history.table) == told[-1], "the cells are others"
    if picture.with_suffix(".csv").exists():
        read_csv(picture.with_suffix(".csv"))
    for path in picture.parent.iterdir():
        path.unlink()
    return len(told), found.edits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for _ in range(args.kills):
            results.append(kill_once(Path(folder) / "field.png", chance))
            print("{} accepted, {} kept".format(*results[-1]), flush=True)
    told, kept = (sum(column) for column in zip(*results, strict=True))
    print(f"{args.kills} kills: {told} edits accepted, {kept} kept, none lost, no file broken")


if __name__ == "__main__":
    sys.exit(main())
