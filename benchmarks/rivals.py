"""Detectors to compare with, trained from scratch on the same pictures, as often as ours, and as large or larger.

    python benchmarks/rivals.py yolo11n
    python benchmarks/rivals.py retinanet

train on all sources what `detection.py` shows beside the shipped model. One class ("white blood cell"). YOLO11n is that
of `ultralytics` (``pip install ultralytics``; bloodfilm itself never imports it) with its own defaults; RetinaNet that
of torchvision with a ResNet-18 backbone, all of it trained, levels at strides 16 to 64, AdamW and flips.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision import tv_tensors
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.transforms import v2

from bloodfilm import Cells, Field, read_coco, read_image
from bloodfilm.detection.detector import LOWEST_SCORE
from bloodfilm.detection.devices import resolve_device
from bloodfilm.detection.letterbox import fit, resize
from bloodfilm.io.files import replacing
from recipe import STAGES, shown

os.environ.setdefault("YOLO_OFFLINE", "true")

Find = Callable[[Field], Cells]


def write_yolo(splits: dict[str, Sequence[Field]], root: Path) -> Path:
    """Write YOLO label files beside links to the pictures of each split; return the data yaml."""
    for split, fields in splits.items():
        images, labels = root / "images" / split, root / "labels" / split
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        for field in fields:
            name = f"{field.source}_{field.path.name}"
            if not (images / name).exists():
                (images / name).symlink_to(field.path.resolve())
            boxes = field.cells.boxes / np.array([field.width, field.height] * 2)
            middles, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
            lines = [f"0 {x:.6f} {y:.6f} {w:.6f} {h:.6f}" for (x, y), (w, h) in zip(middles, sides, strict=True)]
            (labels / name).with_suffix(".txt").write_text("\n".join(lines))
    yaml = root / "data.yaml"
    yaml.write_text(f"path: {root.resolve()}\ntrain: images/train\nval: images/val\nnames: [cell]\n")
    return yaml


def train_yolo11n(
    fields: Sequence[Field], validation: Sequence[Field], out: Path, epochs: int, image_size: int, seed: int
) -> Path:
    from ultralytics import YOLO

    weights, done = out / "weights" / "last.pt", out / "done"
    if done.exists():
        return weights
    model = YOLO(weights if weights.exists() else "yolo11n.yaml")
    model.add_callback("on_train_start", _in_bfloat16)
    if weights.exists():
        model.train(resume=True)
        done.touch()
        return weights
    model.train(
        data=str(write_yolo({"train": fields, "val": validation}, out / "data")),
        epochs=epochs,
        imgsz=image_size,
        seed=seed,
        project=str(out.parent.resolve()),
        name=out.name,
        exist_ok=True,
        plots=False,
        val=False,
        workers=1,
        pretrained=False,
        cache="ram",
    )
    done.touch()
    return weights


def _in_bfloat16(trainer: Any) -> None:
    """Have an ultralytics network, though not its loss, trained in mixed precision on CPU, as on CUDA by default."""
    if trainer.device.type == "cpu":
        network = trainer.model
        network.predict = torch.autocast("cpu", torch.bfloat16)(network.predict)
        network.model[-1].register_forward_hook(
            lambda _, __, out: {**out, "boxes": out["boxes"].float(), "scores": out["scores"].float()}
        )


def find_with_yolo11n(weights: Path) -> Find:
    from ultralytics import YOLO

    model = YOLO(weights)

    def find(field: Field) -> Cells:
        boxes = model.predict(str(field.path), conf=LOWEST_SCORE, verbose=False)[0].boxes
        return _solid(boxes.xyxy.cpu().numpy(), boxes.conf.cpu().numpy())

    return find


def retinanet() -> RetinaNet:
    backbone = resnet_fpn_backbone(
        backbone_name="resnet18",
        weights=None,
        norm_layer=nn.BatchNorm2d,
        trainable_layers=5,
        returned_layers=[3, 4],
    )
    sizes = tuple((s, int(s * 2 ** (1 / 3)), int(s * 2 ** (2 / 3))) for s in (32, 64, 128))
    anchors = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))
    return RetinaNet(backbone, 2, anchor_generator=anchors, score_thresh=LOWEST_SCORE, _skip_resize=True)


def train_retinanet(
    fields: Sequence[Field], validation: Sequence[Field], out: Path, epochs: int, image_size: int, seed: int
) -> Path:
    """Train, or go on training, and return the weights of the last epoch, with all that is needed to go on."""
    torch.manual_seed(seed)
    device, last = resolve_device(), out / "last.pt"
    model = retinanet().to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.02, fused=True)
    steps = epochs * math.ceil(len(fields) / 8)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps, pct_start=0.1)
    parts, done = {"model": model, "optimizer": optimizer, "schedule": schedule}, 0
    if last.exists():
        saved = torch.load(last, map_location=device, weights_only=True)
        done = saved["epochs"]
        for name, part in parts.items():
            part.load_state_dict(saved[name])
    out.mkdir(parents=True, exist_ok=True)
    for epoch in range(done, epochs):
        torch.manual_seed(seed * 10_007 + epoch)
        for batch in torch.randperm(len(fields)).split(8):
            images, targets = zip(*(_sample(fields[row], image_size, device) for row in batch), strict=True)
            with torch.autocast(device.type, torch.bfloat16):
                losses = model(list(images), list(targets))
            torch.stack(list(losses.values())).sum().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        states = {name: part.state_dict() for name, part in parts.items()}
        with replacing(last) as temporary:
            torch.save({**states, "epochs": epoch + 1, "image_size": image_size}, temporary)
    return last


FLIPS = v2.Compose([v2.RandomHorizontalFlip(), v2.RandomVerticalFlip(), v2.ToDtype(torch.float32, scale=True)])


def _sample(field: Field, side: int, device: torch.device) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    size = fit((field.height, field.width), side)
    image = tv_tensors.Image(resize(read_image(field.path), size))
    stretch = np.array([size[1] / field.width, size[0] / field.height] * 2, np.float32)
    boxes = tv_tensors.BoundingBoxes(field.cells.boxes * stretch, format="XYXY", canvas_size=image.shape[1:])
    image, boxes = FLIPS(image, boxes)
    labels = torch.ones(len(boxes), dtype=torch.int64, device=device)
    return image.as_subclass(torch.Tensor).to(device), {
        "boxes": boxes.as_subclass(torch.Tensor).to(device),
        "labels": labels,
    }


def find_with_retinanet(weights: Path) -> Find:
    saved = torch.load(weights, map_location="cpu", weights_only=True)
    device = resolve_device()
    model = retinanet().to(device).eval()
    model.load_state_dict(saved["model"])

    @torch.inference_mode()
    def find(field: Field) -> Cells:
        size = fit((field.height, field.width), saved["image_size"])
        found = model([resize(read_image(field.path), size).to(device).float() / 255])[0]
        back = np.array([field.width / size[1], field.height / size[0]] * 2, np.float32)
        return _solid(found["boxes"].cpu().numpy() * back, found["scores"].cpu().numpy())

    return find


def _solid(boxes: np.ndarray, scores: np.ndarray) -> Cells:
    solid = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return Cells(boxes[solid], scores=scores[solid])


RIVALS = {"yolo11n": (train_yolo11n, find_with_yolo11n), "retinanet": (train_retinanet, find_with_retinanet)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rival", choices=RIVALS)
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--out", type=Path, default=Path("build"))
    args = parser.parse_args()
    fields, validation = (read_coco(args.data / f"{split}.json") for split in ("train", "val"))
    train, _ = RIVALS[args.rival]
    stages = STAGES["wbc-n"].values()
    epochs = round(sum(stage.epochs for stage in stages) * len(shown(fields)) / len(fields))
    train(fields, validation, args.out / args.rival, epochs, max(stage.image_size for stage in stages), seed=0)


if __name__ == "__main__":
    main()
