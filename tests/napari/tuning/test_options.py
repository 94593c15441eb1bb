from __future__ import annotations

from pytestqt.qtbot import QtBot

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
