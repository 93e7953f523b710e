"""How long `weighbridge verify` takes over a file, against `openssl dgst -sha256`.

python bench/verify.py [MIB]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from weighbridge.engine.hashing import sha256
from weighbridge.sources.folder import File

ROUNDS = 5


def fastest(call: Callable[[], object]) -> float:
    """The shortest of a few rounds, in seconds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def main(mib: int) -> None:
    """Print both times and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.bin"
        with path.open("wb") as file:
            for _ in range(mib):
                file.write(os.urandom(1 << 20))
        ours = fastest(lambda: sha256(File(path.name, str(path), mib << 20)))
        command = ["openssl", "dgst", "-sha256", str(path)]
        theirs = fastest(lambda: subprocess.run(command, check=True, capture_output=True))
    sys.stdout.write(
        f"{mib} MiB: {ours:.2f} s, openssl {theirs:.2f} s, ratio {ours / theirs:.2f}\n"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 512)
