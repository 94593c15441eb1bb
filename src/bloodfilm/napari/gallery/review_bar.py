"""The buttons of the review: accept, reject, go on, undo and redo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget

if TYPE_CHECKING:
    from bloodfilm.napari.review import Review


class ReviewBar(QWidget):
    """Acts on the selected cells of the review that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.review: Review | None = None
        self.accept = self._button("✓ accept", "All readings of the selected cells are right.")
        self.reject = self._button("✕ reject", "The selected ones are no white cells; they count nowhere.")
        self.next = self._button("next ▸", "Go to the next cell that nobody reviewed.")
        self.doubtful = self._button(
            "doubtful ▸", "Go to the most doubtful cell that nobody reviewed; again: to the next less doubtful one."
        )
        self.undo = self._button("↶", "")
        self.redo = self._button("↷", "")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        for button in (self.accept, self.reject, self.next, self.doubtful, self.undo, self.redo):
            layout.addWidget(button, 1 if button in (self.undo, self.redo) else 3)
        self.accept.clicked.connect(lambda: self.review and self.review.accept(self.review.selected))
        self.reject.clicked.connect(lambda: self.review and self.review.reject(self.review.selected))
        self.next.clicked.connect(lambda: self.review and self.review.go_on())
        self.doubtful.clicked.connect(lambda: self.review and self.review.go_to_doubt())
        self.undo.clicked.connect(lambda: self.review and self.review.undo())
        self.redo.clicked.connect(lambda: self.review and self.review.redo())

    def _button(self, text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        button.setStyleSheet("QPushButton { padding: 5px 2px; }")
        return button

    def refresh(self) -> None:
        """Enable what can be done now."""
        review = self.review
        self.setVisible(review is not None)
        if review is None:
            return
        some = bool(review.layer.selected_data)
        self.accept.setEnabled(some)
        self.reject.setEnabled(some)
        for button, what, verb in ((self.undo, review.can_undo, "Undo"), (self.redo, review.can_redo, "Redo")):
            button.setEnabled(bool(what))
            button.setToolTip(f"{verb}: {what}" if what else f"Nothing to {verb.lower()}.")
