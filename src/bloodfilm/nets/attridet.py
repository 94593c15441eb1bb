"""AttriDet: the detector and the attribute head as one network."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.ops import batched_nms, box_iou

from bloodfilm.nets.attributes import AttributeHead
from bloodfilm.nets.blocks import Conv
from bloodfilm.nets.novelty import Novelty, describe
from bloodfilm.nets.reader import CellReader
from bloodfilm.nets.refiner import BoxRefiner
from bloodfilm.nets.sizes import Size
from bloodfilm.nets.yolo import YOLOv5
from bloodfilm.vocabulary import LLD, Vocabulary

Head = Literal["own", "published", "exact", "none"]
"""Who reads types and attributes of a cell.

``own`` is a `CellReader`. Else the detector's class channels tell types, as in YOLOv5, and attributes are read by
AttriDet's ``published`` head, by the same from ``exact`` boxes, not rounded as its code does, or not at all.
"""

MIN_READ_SCORE = 0.05
"""Cells below this are found, for curves of precision and recall, but nobody reads them: there may be a thousand."""

MIN_AUXILIARY_SCORE = 0.3
MAX_AUXILIARY = 1000


class Objects(NamedTuple):
    """K objects of a batch: index of the image, boxes (K, 4) in input pixels, scores."""

    image: Tensor
    boxes: Tensor
    scores: Tensor


class Found(NamedTuple):
    """K cells of a batch as in `Objects`, with probabilities of classes and values, 0 where nobody read them.

    `described` tells what each picture (B,) looks like, for `Novelty`; `auxiliary` are the auxiliary kinds found.
    """

    image: Tensor
    boxes: Tensor
    scores: Tensor
    classes: Tensor
    attributes: Tensor
    described: Tensor
    auxiliary: tuple[Objects, ...] = ()

    def cpu(self) -> Found:
        """Return the same in memory that numpy can read."""
        auxiliary = tuple(Objects(*(column.cpu() for column in objects)) for objects in self.auxiliary)
        image, boxes, scores, classes, attributes, described = (column.cpu() for column in self[:6])
        return Found(image, boxes, scores, classes, attributes, described, auxiliary)


class AttriDet(nn.Module):
    """YOLOv5 layout with an attribute head (Rehman et al., MICCAI 2024; Large Leukemia Dataset, MedIA 2025).

    Unlike the published head, our own reads from the picture, and the type of a cell, too, before its attributes; it
    comes with a `BoxRefiner`, too.
    """

    attributes: AttributeHead | CellReader

    def __init__(self, size: Size = "n", vocabulary: Vocabulary = LLD, auxiliary: int = 0, head: Head = "own") -> None:
        super().__init__()
        self.size = size
        self.vocabulary = vocabulary
        self.head = head
        self.detector = YOLOv5(size, len(vocabulary.classes), auxiliary)
        values = list(vocabulary.value_counts)
        self.outputs = [len(vocabulary.classes), *values] if head == "own" else values
        if head == "own":
            self.attributes = CellReader(sum(self.outputs))
            self.refiner = BoxRefiner()
        elif head != "none":
            self.attributes = AttributeHead(self.detector.tap_channels, sum(values), head == "published")
        self.novelty = Novelty(2 * (self.detector.tap_channels + self.detector.deep_channels))

    @torch.inference_mode()
    def find(self, images: Tensor, min_score: float, max_overlap: float = 0.45, max_cells: int = 300) -> Found:
        """Find the cells on `images` (B, 3, H, W) in 0 to 1, and read them if the head does so from its maps.

        Boxes that overlap a better one of any class by more than `max_overlap` (IoU) are dropped; so are those of
        an auxiliary kind among themselves. Where the class channels tell types, the score is objectness times the
        best of them.
        """
        features = self.detector(images)
        boxes, objectness, classes, auxiliary = self.detector.decode(features.levels)
        scores = objectness.sigmoid()
        if self.head != "own":
            scores = scores * classes.amax(-1).sigmoid()
        size = torch.tensor(images.shape[:1:-1], device=boxes.device).repeat(2)
        cells, place = _suppress(boxes, scores, size, min_score, max_overlap, max_cells)
        others = auxiliary.sigmoid().unbind(-1)
        types, values = self._name(features.taps, cells, classes[cells.image, place].sigmoid())
        return Found(
            *cells,
            types,
            values,
            describe((*features.taps, features.deep)),
            tuple(_suppress(boxes, each, size, MIN_AUXILIARY_SCORE, max_overlap, MAX_AUXILIARY)[0] for each in others),
        )

    def _name(self, taps: tuple[Tensor, Tensor], cells: Objects, types: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities of the types, `types` by the class channels, and of all attributes' values."""
        values = torch.zeros(len(types), sum(self.vocabulary.value_counts), device=types.device)
        if self.head == "own":
            return torch.zeros_like(types), values
        if self.head != "none":
            worth = torch.nonzero(cells.scores >= MIN_READ_SCORE)[:, 0]
            rois = torch.cat((cells.image[worth, None].float(), cells.boxes[worth]), 1)
            values[worth] = torch.cat([part.softmax(1) for part in self._split(self.attributes(taps, rois))], 1)
        return types, values

    @torch.inference_mode()
    def find_again(self, images: Tensor, image: Tensor, boxes: Tensor) -> Found:
        """Read from the maps cells that somebody boxed, `boxes` (K, 4) in input pixels on image (K,) of `images`.

        Their scores are 1. Types are those of the box found nearest, by IoU.
        """
        features = self.detector(images)
        cells = Objects(image, boxes, boxes.new_ones(len(boxes)))
        types = boxes.new_zeros(len(boxes), len(self.vocabulary.classes))
        found, _, classes, _ = self.detector.decode(features.levels)
        for row, (place, box) in enumerate(zip(image.tolist(), boxes, strict=True)):
            types[row] = classes[place, box_iou(box[None], found[place])[0].argmax()].sigmoid()
        types, values = self._name(features.taps, cells, types)
        return Found(*cells, types, values, describe((*features.taps, features.deep)))

    def read(self, images: Tensor, rois: Tensor) -> list[Tensor]:
        """Return what our own head sees in the picture: logits of the types (K, classes), and of each attribute.

        Cells are the `rois` (K, 5), index and box in pixels, of `images` (B, 3, H, W) in 0 to 1, of any size.
        """
        return self._split(self.attributes(images, rois))

    def _split(self, logits: Tensor) -> list[Tensor]:
        return list(torch.split(logits.float(), self.outputs, 1))

    def fuse(self) -> AttriDet:
        """Fold every batch normalisation into its convolution, for inference only."""
        self.eval()
        for module in self.modules():
            if isinstance(module, Conv) and isinstance(module.bn, nn.BatchNorm2d):
                module.conv = fuse_conv_bn_eval(module.conv, module.bn)
                module.bn = nn.Identity()
        return self


def with_auxiliary(network: AttriDet, auxiliary: int) -> AttriDet:
    """Return a network like `network`, which has no auxiliary kinds, with scores for as many, not yet trained."""
    larger = AttriDet(network.size, network.vocabulary, auxiliary)
    wanted, known = larger.state_dict(), network.state_dict()
    for name, tensor in known.items():
        if tensor.shape == wanted[name].shape:
            wanted[name] = tensor
        else:
            outputs = wanted[name].unflatten(0, (3, -1))
            outputs[:, : network.detector.detect.outputs] = tensor.unflatten(0, (3, -1))
    larger.load_state_dict(wanted)
    return larger


def taken_over(network: AttriDet, vocabulary: Vocabulary) -> tuple[AttriDet, int, int]:
    """Return a network with our own head and all tensors of `network` that fit; how many these are, and of how many."""
    fresh = AttriDet(network.size, vocabulary)
    wanted = fresh.state_dict()
    known = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("novelty.")}
    fitting = {n: tensor for n, tensor in known.items() if n in wanted and tensor.shape == wanted[n].shape}
    fresh.load_state_dict(wanted | fitting)
    return fresh, len(fitting), len(known)


def _suppress(
    boxes: Tensor, scores: Tensor, size: Tensor, min_score: float, max_overlap: float, most: int
) -> tuple[Objects, Tensor]:
    """Return what is left of `boxes` (B, N, 4) with `scores` (B, N), by falling score, `most` an image; and where.

    Boxes are cut at `size` (4,): width, height, width, height of the images.
    """
    image, place = torch.nonzero(scores >= min_score, as_tuple=True)
    found, scores_found = boxes[image, place].minimum(size).clamp(min=0), scores[image, place]
    solid = ((found[:, 2:] - found[:, :2]) > 1).all(1)
    image, place, found, scores_found = image[solid], place[solid], found[solid], scores_found[solid]
    kept = batched_nms(found, scores_found, image, max_overlap)
    kept = kept[_rank_in_image(image[kept], len(boxes)) < most]
    return Objects(image[kept], found[kept], scores_found[kept]), place[kept]


def _rank_in_image(image: Tensor, images: int) -> Tensor:
    """Return for each entry how many entries of the same image come before it."""
    same = nn.functional.one_hot(image, images)
    return same.cumsum(0).gather(1, image[:, None])[:, 0] - 1
