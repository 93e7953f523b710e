"""The demonstration pair comes out as it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from apps.running import ENVIRONMENT

DEMO = Path(__file__).parents[2] / "scripts" / "demo.py"


def test_the_clean_model_may_enter_and_the_hostile_one_is_blocked(tmp_path: Path) -> None:
    command = [sys.executable, str(DEMO), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "as it should be" in done.stderr.lower()
    for name in ("clean", "hostile"):
        assert "</html>" in (tmp_path / f"demo-{name}.html").read_text(encoding="utf-8")
