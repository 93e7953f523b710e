"""Tests know no advisories but those that they make, whatever is on the machine."""

from __future__ import annotations

import os

os.environ["WEIGHBRIDGE_HOME"] = os.path.join(os.devnull, "none")
