"""Seconds and memory that opening a subset of 2,400 fields in napari takes.

    python benchmarks/open_subset.py

Draws a Large Leukemia Dataset with its pictures linked to a few, and opens one subset in a process of its own,
several times, with json and with text labels: reader, layers in a viewer without a window, a move of the slider.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bloodfilm.synth.lld import write_lld

OPEN = """
import json, resource, sys, time, warnings
import napari.layers
from napari.components import ViewerModel
from bloodfilm.napari.reader import read_labels

warnings.simplefilter("ignore")
memory = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
viewer = ViewerModel()
before, began, busy = memory(), time.perf_counter(), time.process_time()
layers = read_labels(sys.argv[1])
read = time.perf_counter()
for layer in layers:
    viewer.add_layer(napari.layers.Layer.create(*layer))
opened, busy = time.perf_counter(), time.process_time() - busy
viewer.dims.set_point(0, 1000)
moved = time.perf_counter()
print(json.dumps({
    "fields": len(viewer.layers[0].data), "boxes": viewer.layers[-1].nshapes, "reader": read - began,
    "reader and layers": opened - began, "processor": busy, "slider": moved - opened,
    "before": before, "peak": memory(),
}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=int, default=2400)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "lld")
        write_lld(root, args.fields)
        subset = root / "LeukemiaAttri_Dataset" / "H_100X_C2"
        print(f"median of {args.repeat} runs, {os.cpu_count()} cores\n")
        columns = ("labels", "fields", "boxes", "reader, s", "reader and layers, s", "of it processor, s", "slider, s")
        print("|", " | ".join([*columns, "memory, MB", "of it napari, MB"]), "|")
        print("|---" * 9 + "|")
        sources = {"json": subset, "text, 12 columns": subset / "txt_labels" / "AttriDet"}
        sources["text, 16 columns"] = root / "Sparse-LeukemiaAttri"
        for name, source in sources.items():
            command = [sys.executable, "-c", OPEN, str(source)]
            outputs = [subprocess.run(command, check=True, capture_output=True).stdout for _ in range(args.repeat)]
            runs = [json.loads(output) for output in outputs]
            row = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            times = (f"{row[key]:.2f}" for key in ("reader", "reader and layers", "processor", "slider"))
            memory = (f"{row[key]:.0f}" for key in ("peak", "before"))
            print("|", " | ".join([name, str(row["fields"]), str(row["boxes"]), *times, *memory]), "|")


if __name__ == "__main__":
    main()
