"""The command line as a whole."""

from __future__ import annotations

import pytest
from command_line import run


@pytest.mark.parametrize(
    "command", ["convert", "demo", "detect", "train", "import-weights", "evaluate", "synth", "models"]
)
def test_every_command_explains_itself(command: str) -> None:
    assert "Usage:" in run(command, "--help")
