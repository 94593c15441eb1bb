from __future__ import annotations

from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QComboBox, QLineEdit, QWidget

from bloodfilm.napari.tuning.options import Options
from bloodfilm.training.settings import for_people


def test_what_nobody_changes_is_what_was_measured_to_be_good(qtbot: QtBot) -> None:
    options = Options()
    qtbot.addWidget(options)
    settings = options.settings()
    assert settings == for_people(settings.init, settings.image_size)


def test_shares_are_given_in_percent(qtbot: QtBot) -> None:
    options = Options()
    qtbot.addWidget(options)
    options.kept.setValue(80)
    options.frozen.setValue(30)
    assert (options.settings().kept, options.settings().frozen) == (0.8, 0.3)


def turn_wheel(widget: QWidget) -> bool:
    """Turn the wheel over a widget as a user does; return if the widget took it for itself."""
    middle = widget.rect().center()
    event = QWheelEvent(
        QPointF(middle),
        QPointF(widget.mapToGlobal(middle)),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


def test_scrolling_past_the_form_changes_nothing_in_it(qtbot: QtBot) -> None:
    options = Options()
    qtbot.addWidget(options)
    options.minutes.setValue(5)
    before, minutes, boxes = options.settings(), options.minutes.value(), options.findChildren(QAbstractSpinBox)
    assert len(boxes) == 8
    for box in [*boxes, *options.findChildren(QComboBox)]:
        assert not any(map(turn_wheel, [box, *box.findChildren(QLineEdit)]))
        assert box.focusPolicy() == Qt.FocusPolicy.StrongFocus
    assert (options.settings(), options.minutes.value()) == (before, minutes)


def test_a_box_that_was_clicked_on_heeds_the_wheel(qtbot: QtBot) -> None:
    options = Options()
    qtbot.addWidget(options)
    options.show()
    options.activateWindow()
    options.device.setFocus()
    qtbot.waitUntil(options.device.hasFocus)
    turn_wheel(options.device)
    assert options.device.currentText() == "cpu"
    options.rounds.setFocus()
    rounds = options.rounds.value()
    turn_wheel(options.rounds)
    assert options.rounds.value() == rounds - 1
