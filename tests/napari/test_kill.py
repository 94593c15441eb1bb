"""No accepted edit is lost however the process ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill_while_reviewing.py"


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_a_killed_process_loses_no_accepted_edit(kills: int) -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--kills", str(kills)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "none lost, no file broken" in done.stdout
