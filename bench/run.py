"""Weighbridge and its peers on the same files, one after the other, as whole processes.

    make bench                                      the table, on the terminal
    .venv/bin/python bench/run.py --out docs/benchmarks.md

Each peer gets an environment of its own under `.bench/`, made once from the pinned and hashed file
`bench/peers/<peer>.txt` (`make lock` compiles it). A peer that cannot be installed is left out and
said so. Inputs are built anew in a temporary folder. Medians of `--runs` runs; a run that takes
longer than five minutes is stopped and shown as such.
"""

from __future__ import annotations

import argparse
import compileall
import os
import pickle
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

LIMIT = 300
MARKER = "## Read honestly"
"""What stands from here on in the document is written by hand, and kept."""
GIB = 1 << 30
ROOT = Path(__file__).parent.parent
ENVIRONMENTS = ROOT / ".bench"
PEERS = {"picklescan": ["-p"], "modelscan": ["-p"], "modelaudit": ["scan"]}
"""What each peer wants before the path."""
QUIET = {"DO_NOT_TRACK": "1", "PROMPTFOO_DISABLE_TELEMETRY": "1"}
"""Nothing is measured that waits for a network."""


@dataclass(frozen=True)
class Measured:
    """Seconds of wall clock and peak memory in MB; None where it was stopped."""

    seconds: float | None
    memory: int


def measure(command: list[str]) -> Measured:
    """Run a command once."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **QUIET},
        start_new_session=True,
    )
    while True:
        pid, _, usage = os.wait4(process.pid, os.WNOHANG)
        elapsed = time.perf_counter() - started
        if pid:
            process.returncode = 0
            return Measured(elapsed, usage.ru_maxrss // 1024)
        if elapsed > LIMIT:
            os.killpg(process.pid, signal.SIGKILL)
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = -signal.SIGKILL
            return Measured(None, usage.ru_maxrss // 1024)
        time.sleep(0.002 if elapsed < 2 else 0.05)


def big_pickle(path: Path) -> None:
    """A dict of three million small tuples: 24 million opcodes, 118 MB."""
    values = {i: (i, i * 0.5, f"v{i}") for i in range(3_000_000)}
    with path.open("wb") as file:
        pickle.dump(values, file, protocol=4)


def big_safetensors(path: Path) -> None:
    """1 GiB in 64 tensors."""
    import json

    step = GIB // 64
    header = {
        f"layer.{i}": {
            "dtype": "F32",
            "shape": [step // 4],
            "data_offsets": [i * step, i * step + step],
        }
        for i in range(64)
    }
    text = json.dumps(header).encode()
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _ in range(GIB >> 20):
            file.write(block)


def torch_zip(path: Path, storages: int, size: int) -> None:
    """A checkpoint as `torch.save` writes it, made without torch."""
    body = b"\x80\x02}q\x00("
    for i in range(storages):
        name = f"layer.{i}".encode()
        body += b"X" + len(name).to_bytes(4, "little") + name
        body += (
            b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        )
        key = str(i).encode()
        body += b"X" + len(key).to_bytes(4, "little") + key + b"X\x03\x00\x00\x00cpuJ"
        count = (size // 4).to_bytes(4, "little")
        body += count + b"tQK\x00J" + count + b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
    body += b"u."
    block = os.urandom(min(size, 1 << 20))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", body)
        archive.writestr("archive/byteorder", "little")
        for i in range(storages):
            with archive.open(f"archive/data/{i}", "w", force_zip64=size > GIB) as member:
                for _ in range(max(1, size >> 20)):
                    member.write(block)
        archive.writestr("archive/version", "3\n")


INPUTS = {
    "pickle, 24 million opcodes": "big.pkl",
    "1 GiB safetensors": "model.safetensors",
    "1 GiB torch zip": "model.pt",
    "1,000 small torch zips": "many",
}


def build(folder: Path) -> None:
    """Make the inputs."""
    (folder / "many").mkdir()
    for i in range(1_000):
        torch_zip(folder / "many" / f"checkpoint-{i:04}.pt", 6, 256)
    big_pickle(folder / "big.pkl")
    big_safetensors(folder / "model.safetensors")
    torch_zip(folder / "model.pt", 64, GIB // 64)


def install(peer: str) -> bool:
    """Make a peer's environment, unless it is there and complete; False where that fails."""
    folder, wanted = ENVIRONMENTS / peer, ROOT / "bench" / "peers" / f"{peer}.txt"
    stamp = folder / "installed"
    if stamp.is_file() and stamp.read_bytes() == wanted.read_bytes():
        return True
    print(f"Installing {peer}", file=sys.stderr)
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    done = subprocess.run([*pip, "install", "--require-hashes", "-r", str(wanted)], check=False)
    if done.returncode == 0:
        shutil.copyfile(wanted, stamp)
    return done.returncode == 0


def version(peer: str) -> str:
    """The pinned version, as `peer 1.2.3`."""
    return (ROOT / "bench" / "peers" / f"{peer}.in").read_text().strip().replace("==", " ")


def commands(path: Path, peers: list[str]) -> dict[str, list[str]]:
    """What runs on an input, by the name of its row."""
    ours = [sys.executable, "-m", "weighbridge.apps.cli.main", "audit", str(path)]
    ours += ["--format", "json"]
    found = {"weighbridge": ours, "weighbridge --no-digest": [*ours, "--no-digest"]}
    if path.is_file():
        found["cat"] = ["cat", str(path)]
        if shutil.which("openssl"):
            found["openssl dgst -sha256"] = ["openssl", "dgst", "-sha256", str(path)]
    for name in peers:
        command = str(ENVIRONMENTS / name / "bin" / name)
        found[version(name)] = [command, *PEERS[name], str(path)]
    return found


def table(runs: int) -> str:
    """Measure everything; returns Markdown."""
    peers = [name for name in PEERS if install(name)]
    absent = [name for name in PEERS if name not in peers]
    lines = [
        "# Benchmarks",
        "",
        f"Measured on {date.today()} on {platform.machine()}, {os.cpu_count()} processors, Python "
        f"{platform.python_version()}, medians of {runs} runs of the whole process, taken in turn. "
        "Made by `python bench/run.py`; the inputs are described there.",
        "",
    ]
    if absent:
        lines += [f"Could not be installed, so not measured: {', '.join(absent)}.", ""]
    lines += [
        "| input | command | seconds | peak MB | time against weighbridge |",
        "|---|---|--:|--:|--:|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own: a child's peak counts what its parent held when it was forked.
        subprocess.run([sys.executable, __file__, "--build", folder], check=True)
        for title, name in INPUTS.items():
            path = Path(folder) / name
            row = commands(path, peers)
            taken: dict[str, list[Measured]] = {name: [] for name in row}
            for turn in range(runs):
                for name, command in row.items():
                    slow = taken[name] and (taken[name][0].seconds or LIMIT) > 60
                    if not (turn and slow):
                        taken[name].append(measure(command))
            ours = median(taken["weighbridge"])
            for name, results in taken.items():
                seconds = median(results)
                memory = max(r.memory for r in results)
                shown = f"{seconds:.2f}" if seconds is not None else f"> {LIMIT}"
                against = (seconds or LIMIT) / (ours or LIMIT)
                lines.append(f"| {title} | {name} | {shown} | {memory:,} | {against:.2f} |")
    start = median([measure([sys.executable, "-c", ""]) for _ in range(9)]) or 0
    helped = [sys.executable, "-m", "weighbridge.apps.cli.main", "--help"]
    help_time = median([measure(helped) for _ in range(9)]) or 0
    lines += ["", f"Start-up: `--help` takes {1000 * (help_time - start):.0f} ms over bare Python "
              f"({1000 * start:.0f} ms).", ""]  # fmt: skip
    lines += ["Peak memory is that of the largest single process."]
    return "\n".join(lines) + "\n"


def median(results: list[Measured]) -> float | None:
    """The median of the seconds, or None where a run was stopped."""
    seconds = [r.seconds for r in results]
    return None if None in seconds else statistics.median(s for s in seconds if s is not None)


def main() -> int:
    """Command line; see the module's documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.build:
        build(args.build)
        return 0
    # pip compiles what it installs; ours runs from the checkout, so it is compiled here.
    compileall.compile_dir(ROOT / "src", quiet=1)
    text = table(args.runs)
    print(text)
    if args.out:
        _, marker, said = args.out.read_text().partition(MARKER) if args.out.exists() else ("",) * 3
        args.out.write_text(text + ("\n" + marker + said if marker else ""))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
