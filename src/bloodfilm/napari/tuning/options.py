"""How to train: what most people choose, and the rest folded away."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QDoubleSpinBox,
    QFormLayout,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from bloodfilm.napari.model_box import DeviceBox, ModelBox
from bloodfilm.napari.wheel import WheelGuard
from bloodfilm.training.settings import Settings, for_people
from bloodfilm.weights import image_size

SIZE = 640
"""Pixels a side for models that do not tell theirs."""


class Options(QWidget):
    """Form for `Settings`.

    Attributes
    ----------
    changed : Signal()
        The user chose a model.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        usual = for_people(None, SIZE)
        self.model = ModelBox()
        self.model.chosen.connect(self._on_model)
        self.device = DeviceBox()
        self.rounds = _number(usual.epochs, 1, 10_000)
        self.minutes = QDoubleSpinBox()
        self.minutes.setRange(0, 24 * 60)
        self.minutes.setSpecialValueText("no limit")
        self.image_size = _number(SIZE, 64, 2048, 32)
        self.batch = _number(usual.batch, 1, 256)
        self.rate = QDoubleSpinBox()
        self.rate.setDecimals(5)
        self.rate.setRange(1e-5, 1e-1)
        self.rate.setSingleStep(1e-4)
        self.rate.setValue(usual.learning_rate)
        self.frozen, self.kept = (_number(round(100 * share), 0, 100) for share in (usual.frozen, usual.kept))
        self.frozen.setSuffix(" %")
        self.kept.setSuffix(" %")
        self.seed = _number(0, 0, 2**31 - 1)
        form = _form(
            ("start from", self.model, "The model that learns on: one that knows other microscopes."),
            (
                "rounds",
                self.rounds,
                "Each shows 64 pictures or more, every field as often, turned, scaled and coloured anew.",
            ),
            ("minutes", self.minutes, "Stops after so long, with the best weights kept, however many rounds are left."),
            ("device", self.device, "auto takes a graphics card if torch can use one."),
        )
        self.advanced = QCollapsible("Advanced")
        inner = QWidget()
        inner.setLayout(
            _form(
                ("image size", self.image_size, "Pixels a side that pictures are brought to, a multiple of 32."),
                ("batch", self.batch, "Pictures at once; halved by itself where memory runs out."),
                ("learning rate", self.rate, ""),
                ("frozen", self.frozen, "Share of the rounds, the first ones, in which the backbone stays as it was."),
                (
                    "old weights",
                    self.kept,
                    "Their share in what finds cells: with more it forgets less, and learns less.",
                ),
                ("seed", self.seed, "The same seed and labels give the same weights on a processor."),
            )
        )
        self.advanced.addWidget(inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.advanced)
        self._suit()
        for box in self.findChildren(QAbstractSpinBox):
            WheelGuard(box)

    def settings(self) -> Settings:
        size = 32 * round(self.image_size.value() / 32)
        return for_people(
            self.model.model,
            size,
            epochs=self.rounds.value(),
            batch=self.batch.value(),
            device=self.device.currentText(),
            seed=self.seed.value(),
            learning_rate=self.rate.value(),
            frozen=self.frozen.value() / 100,
            kept=self.kept.value() / 100,
        )

    def _on_model(self) -> None:
        self._suit()
        self.changed.emit()

    def _suit(self) -> None:
        """Take the size of pictures that the model knows."""
        self.image_size.setValue(image_size(self.model.model) or SIZE)


def _number(value: int, low: int, high: int, step: int = 1) -> QSpinBox:
    box = QSpinBox()
    box.setRange(low, high)
    box.setSingleStep(step)
    box.setValue(value)
    return box


def _form(*rows: tuple[str, QWidget, str]) -> QFormLayout:
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    for label, widget, tip in rows:
        widget.setToolTip(tip)
        widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        form.addRow(label, widget)
    return form
