"""Call the command line: in this process where only its results matter, in its own where its exit does."""

from __future__ import annotations

import subprocess
import sys

from typer.testing import CliRunner

from bloodfilm.cli import app


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a Python of its own."""
    code = "from bloodfilm.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)


def run(*arguments: object, status: int = 0) -> str:
    """Run the command line here and return what it prints."""
    result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.stdout
