"""Channels of conda: whose they are, and what their addresses tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from weighbridge.core.finding import Finding
from weighbridge.engine.audit import run


def findings(folder: Path) -> list[Finding]:
    return [f for f in run(folder).findings if f.check == "conda-channel"]


@pytest.mark.parametrize(
    ("channel", "action", "what"),
    [
        ("conda-forge", None, ""),
        ("defaults", None, ""),
        ("nodefaults", None, ""),
        ("conda-forge/label/broken", None, ""),
        ("https://conda.anaconda.org/conda-forge", None, ""),
        ("https://repo.anaconda.com/pkgs/main", None, ""),
        ("pytorch", "note", "of a vendor"),
        ("https://conda.anaconda.org/nvidia/label/cuda-12.4.1", "note", "of a vendor"),
        ("someone", "review", "anybody can open"),
        ("https://conda.anaconda.org/someone", "review", "anybody can open"),
        ("https://conda.example.net/get", "review", "host that is not known"),
        ("file:///srv/channel", None, ""),
        (
            "https://conda.anaconda.org/t/ab-0a1b2c3d-4e5f-6a7b-8c9d-0e1f2a3b4c5d/conda-forge",
            "review",
            "tells a secret (ab-0…)",
        ),
        ("https://me:hunter22@repo.anaconda.com/pkgs/main", "review", "tells a secret (hunt…)"),
    ],
)
def test_channels(tmp_path: Path, channel: str, action: str | None, what: str) -> None:
    (tmp_path / "environment.yml").write_text(
        f"name: a\nchannels:\n  - {channel}\ndependencies:\n  - numpy=1.26.4\n"
    )
    found = findings(tmp_path)
    assert [f.action.value for f in found] == ([] if action is None else [action])
    assert all(what in f.message and f.at.line == 3 for f in found)
    assert all("hunter22" not in f.message + f.symbol for f in found)


def test_channels_of_single_packages_and_of_builds(tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text(
        "channels:\n  - conda-forge\ndependencies:\n  - someone::numpy\n"
    )
    (tmp_path / "Dockerfile").write_text("FROM a\nRUN mamba install -y -c other faiss-gpu\n")
    assert {f.symbol for f in findings(tmp_path)} == {"channel someone", "channel other"}


@pytest.mark.parametrize(
    ("second", "mixed"), [("defaults", True), ("https://repo.anaconda.com/pkgs/main", True),
                          ("nodefaults", False)],
)  # fmt: skip
def test_mixed_channels(tmp_path: Path, second: str, mixed: bool) -> None:
    (tmp_path / "environment.yml").write_text(
        f"channels:\n  - conda-forge\n  - {second}\ndependencies:\n  - numpy\n"
    )
    assert bool(findings(tmp_path)) is mixed
