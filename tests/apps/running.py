"""Running Weighbridge in another process, whether or not it is installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import weighbridge

WEIGHBRIDGE = [sys.executable, "-m", "weighbridge.apps.cli.main"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(weighbridge.__file__).parent.parent)}
