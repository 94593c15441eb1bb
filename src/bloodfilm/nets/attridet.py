"""AttriDet: the detector and the attribute head as one network."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.ops import batched_nms

from bloodfilm.nets.attributes import AttributeHead
from bloodfilm.nets.blocks import Conv
from bloodfilm.nets.novelty import Novelty, describe
from bloodfilm.nets.yolo import Size, YOLOv5
from bloodfilm.vocabulary import LLD, Vocabulary

MIN_AUXILIARY_SCORE = 0.3
MAX_AUXILIARY = 1000


class Objects(NamedTuple):
    """K objects of a batch: index of the image, boxes (K, 4) in input pixels, scores."""

    image: Tensor
    boxes: Tensor
    scores: Tensor


class Found(NamedTuple):
    """K cells of a batch as in `Objects`, with probabilities of classes and values.

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

    Unlike the published head, ours reads the type of a cell, too, before its attributes: from the same region
    at strides 4 and 8, where a nucleus has its lobes.
    """

    def __init__(self, size: Size = "n", vocabulary: Vocabulary = LLD, auxiliary: int = 0) -> None:
        super().__init__()
        self.size = size
        self.vocabulary = vocabulary
        self.detector = YOLOv5(size, len(vocabulary.classes), auxiliary)
        self.outputs = [len(vocabulary.classes), *vocabulary.value_counts]
        self.attributes = AttributeHead(self.detector.tap_channels, sum(self.outputs))
        self.novelty = Novelty(2 * (self.detector.tap_channels + self.detector.deep_channels))

    @torch.inference_mode()
    def find(self, images: Tensor, min_score: float, max_overlap: float = 0.45, max_cells: int = 300) -> Found:
        """Find the cells on `images` (B, 3, H, W) in 0 to 1: one pass for boxes, classes and attributes of all.

        Boxes that overlap a better one of any class by more than `max_overlap` (IoU) are dropped; so are those of
        an auxiliary kind among themselves.
        """
        features = self.detector(images)
        boxes, objectness, _, auxiliary = self.detector.decode(features.levels)
        size = torch.tensor(images.shape[:1:-1], device=boxes.device).repeat(2)
        cells = _suppress(boxes, objectness.sigmoid(), size, min_score, max_overlap, max_cells)
        others = auxiliary.sigmoid().unbind(-1)
        rois = torch.cat((cells.image[:, None].float(), cells.boxes), 1)
        types, *values = (part.softmax(1) for part in self.read(features.taps, rois))
        return Found(
            *cells,
            types,
            torch.cat(values, 1) if values else types[:, :0],
            describe((*features.taps, features.deep)),
            tuple(_suppress(boxes, each, size, MIN_AUXILIARY_SCORE, max_overlap, MAX_AUXILIARY) for each in others),
        )

    def read(self, taps: tuple[Tensor, Tensor], rois: Tensor) -> list[Tensor]:
        """Return logits of the types (K, classes) and of each attribute (K, values) of `rois` (K, 5)."""
        return list(torch.split(self.attributes(taps, rois).float(), self.outputs, 1))

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


def _suppress(boxes: Tensor, scores: Tensor, size: Tensor, min_score: float, max_overlap: float, most: int) -> Objects:
    """Return what is left of `boxes` (B, N, 4) with `scores` (B, N), by falling score, `most` an image.

    Boxes are cut at `size` (4,): width, height, width, height of the images.
    """
    image, place = torch.nonzero(scores >= min_score, as_tuple=True)
    found, scores_found = boxes[image, place].minimum(size).clamp(min=0), scores[image, place]
    solid = ((found[:, 2:] - found[:, :2]) > 1).all(1)
    image, found, scores_found = image[solid], found[solid], scores_found[solid]
    kept = batched_nms(found, scores_found, image, max_overlap)
    kept = kept[_rank_in_image(image[kept], len(boxes)) < most]
    return Objects(image[kept], found[kept], scores_found[kept])


def _rank_in_image(image: Tensor, images: int) -> Tensor:
    """Return for each entry how many entries of the same image come before it."""
    same = nn.functional.one_hot(image, images)
    return same.cumsum(0).gather(1, image[:, None])[:, 0] - 1
