"""The command line as a whole."""

from __future__ import annotations

import pytest
from command_line import run

import bloodfilm


@pytest.mark.parametrize(
    "command", ["convert", "demo", "detect", "train", "import-weights", "evaluate", "synth", "models"]
)
def test_every_command_explains_itself(command: str) -> None:
    assert "Usage:" in run(command, "--help")


def test_the_version_is_told() -> None:
    assert run("--version") == f"{bloodfilm.__version__}\n"
