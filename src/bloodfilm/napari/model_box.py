"""Lists to choose from: a model, those that were trained meanwhile among them, and what it runs on."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog

from bloodfilm.napari.wheel import WheelGuard
from bloodfilm.weights import DEFAULT_MODEL, available

OPEN_FILE = "open a file…"


class ModelBox(QComboBox):
    """Chooses a model that there is, or a file.

    Attributes
    ----------
    chosen : Signal()
        The user chose a model.
    """

    chosen = Signal()

    def __init__(self) -> None:
        super().__init__()
        WheelGuard(self)
        self._files: dict[str, Path] = {}
        self._list(DEFAULT_MODEL)
        self.activated.connect(self._on_activated)

    @property
    def model(self) -> str:
        """Name or file of the model."""
        return str(self._files.get(self.currentText(), self.currentText()))

    def choose(self, name: str) -> None:
        """Choose a model by its name."""
        self._list(name)
        self.chosen.emit()

    def add_file(self, path: Path) -> None:
        """Add a model file to the list, and choose it."""
        self._files[path.name] = path
        self.choose(path.name)

    def _list(self, name: str) -> None:
        names = [*self._files, DEFAULT_MODEL, *(each for each in available() if each != DEFAULT_MODEL)]
        self.clear()
        self.addItems([*names, OPEN_FILE])
        self.setCurrentText(name if name in names else DEFAULT_MODEL)
        self._last = self.currentText()

    def showPopup(self) -> None:  # noqa: N802  Qt's name
        self._list(self.currentText())
        super().showPopup()

    def _on_activated(self) -> None:
        if self.currentText() == OPEN_FILE:
            path, _ = QFileDialog.getOpenFileName(self, "Open a model", "", "Checkpoints (*.safetensors)")
            self._list(self._last)
            if path:
                self.add_file(Path(path))
            return
        self._last = self.currentText()
        self.chosen.emit()


class DeviceBox(QComboBox):
    """Chooses what a model runs on."""

    def __init__(self) -> None:
        super().__init__()
        WheelGuard(self)
        self.addItems(["auto", "cpu", "cuda", "mps"])
