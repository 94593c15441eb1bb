"""Train and run `ultralytics` YOLO11n, from scratch, on the pictures of `sources.py`.

    python benchmarks/rival.py

Needs ``pip install ultralytics``, which bloodfilm itself never imports.
One class ("white blood cell"), ultralytics' own defaults otherwise; as many pictures of as many pixels as the first
stage of `train_shipped.py` sees.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from sources import UNKNOWN_TYPE
from train_shipped import IMAGE_SIZE, STAGES

os.environ.setdefault("YOLO_OFFLINE", "true")


def write_yolo(data: Path) -> Path:
    """Write YOLO label files beside links to the pictures of `data`; return the data yaml."""
    root = data / "yolo"
    for split in ("train", "val", "test"):
        coco = json.loads((data / f"{split}.json").read_text())
        images, labels = root / "images" / split, root / "labels" / split
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        lines: dict[int, list[str]] = {image["id"]: [] for image in coco["images"]}
        sizes = {image["id"]: (image["width"], image["height"]) for image in coco["images"]}
        white = [found for found in coco["annotations"] if found["category_id"] <= UNKNOWN_TYPE]
        for found in white:
            (x, y, w, h), (width, height) = found["bbox"], sizes[found["image_id"]]
            x0, y0, x1, y1 = (
                max(x, 0) / width,
                max(y, 0) / height,
                min(x + w, width) / width,
                min(y + h, height) / height,
            )
            lines[found["image_id"]].append(f"0 {(x0 + x1) / 2:.6f} {(y0 + y1) / 2:.6f} {x1 - x0:.6f} {y1 - y0:.6f}")
        for image in coco["images"]:
            source = (data / image["file_name"]).resolve()
            name = f"{image['source']}_{source.name}"
            if not (images / name).exists():
                (images / name).symlink_to(source)
            (labels / name).with_suffix(".txt").write_text("\n".join(lines[image["id"]]))
    yaml = root / "data.yaml"
    yaml.write_text(f"path: {root.resolve()}\ntrain: images/train\nval: images/val\ntest: images/test\nnames: [cell]\n")
    return yaml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--out", type=Path, default=Path("build/rival"))
    parser.add_argument("--epochs", type=int, default=STAGES["detector"].epochs)
    parser.add_argument("--image-size", type=int, default=IMAGE_SIZE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()

    from ultralytics import YOLO

    if args.resume:
        YOLO(args.out / "weights" / "last.pt").train(resume=True)
        return
    YOLO("yolo11n.yaml").train(
        data=str(write_yolo(args.data)),
        epochs=args.epochs,
        imgsz=args.image_size,
        seed=args.seed,
        project=str(args.out.parent.resolve()),
        name=args.out.name,
        exist_ok=True,
        plots=False,
        workers=1,
        pretrained=False,
        cache="ram",
    )


if __name__ == "__main__":
    main()
