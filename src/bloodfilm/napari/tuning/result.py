"""What came of a training: scores and pictures before and after, one below the other."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from bloodfilm.training.samples import SAMPLES, WHEN


class TrainResult(QWidget):
    """Shows what the model finds before and after, and offers the new one.

    Attributes
    ----------
    wanted : Signal()
        The user wants to detect with the new model.
    model : str
        Its name; none if it is not in the list of models.
    """

    wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.model = ""
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.RichText)
        self.use = QPushButton("Detect with the new model")
        self.use.clicked.connect(lambda: self.wanted.emit())
        self.captions = [QLabel(when) for when in WHEN]
        self.pictures = [_Picture() for _ in WHEN]
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.words)
        layout.addWidget(self.use)
        for caption, picture in zip(self.captions, self.pictures, strict=True):
            layout.addWidget(caption)
            layout.addWidget(picture)
        self.hide()

    def show_result(self, folder: Path, name: str, scores: dict[str, dict[str, Any]], judges: Sequence[str]) -> None:
        """Show the scores of `bloodfilm.training.fine_tune.compare` and its pictures of the first field in `folder`."""
        self.model = name
        held = "fields held out" if judges else "the fields it learned from, which flatters it"
        after = scores["after"]
        listed = f"<b>{html.escape(name)}</b> is in the list of models.<br>" if name else ""
        self.words.setText(f"{listed}Judged by {after['cells']:.0f} cells of {held}:")
        self.use.setVisible(bool(name))
        shown = sorted((folder / SAMPLES).glob(f"*-{WHEN[1]}.png"))[:1]
        for when, caption, picture in zip(WHEN, self.captions, self.pictures, strict=True):
            known = scores.get(when)
            caption.setText(f"{when}: AP50 {known['ap50']:.2f}, AP {known['ap']:.2f}" if known else when)
            paths = [path.with_name(path.name.replace(f"-{WHEN[1]}.png", f"-{when}.png")) for path in shown]
            picture.setPixmap(QPixmap(str(paths[0])) if paths else QPixmap())
        self.show()


class _Picture(QLabel):
    """A picture as wide as there is room."""

    def __init__(self) -> None:
        super().__init__()
        self.setScaledContents(True)
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def heightForWidth(self, width: int) -> int:  # noqa: N802  Qt's name
        size = self.pixmap().size()
        return round(width * size.height() / size.width()) if size.width() else 0
