"""Weighbridge, pip-audit and uv audit on the same pins and advisories, offered on loopback.

    .venv/bin/python bench/dependencies.py advisories.zip [--pip-audit PATH] [--out FILE]

Pins are drawn from the advisories themselves (listed versions and the versions that mend them),
with the same seed each time. pip-audit gets an environment of its own from `bench/peers/
pip-audit.txt`, made once under `.bench/`, unless one is named. Compared are the sets of package,
version and weakness, an advisory and its aliases being one. uv, where it is installed, gets the
thousand pins as its own lock file; it also asks an index about each package, which is one on
loopback that knows none. `--out` keeps the table of what
pip-audit says of each pin (`tests/intel/pip_audit.tsv`, which the tests hold Weighbridge to).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from run import ENVIRONMENTS, install

from weighbridge.apps.cli.serve_osv import server
from weighbridge.intel.advisories.build import build, dump
from weighbridge.intel.advisories.index import Facts
from weighbridge.intel.advisories.osv import canonical, normalised, parse

PACKAGES, EACH, SEED = 260, 4, 20261125
"""So many packages, in so many versions of each."""
THOUSAND, KNOWN, TIMES = 1000, 100, 5
"""So many pins in one file, so many of them of packages that have advisories; timed so often."""
Said = dict[tuple[str, str], set[frozenset[str]]]


def pins(advisories: Path) -> list[list[str]]:
    """Files of pins, each package once in each; a report lists up to 200 findings of a file."""
    versions: dict[str, set[str]] = {}
    for _, data in dump(advisories):
        for affected in json.loads(data).get("affected", ()):
            known = versions.setdefault(affected["package"]["name"].lower(), set())
            known.update(affected.get("versions", ()))
            for events in affected.get("ranges", ()):
                if events["type"] == "ECOSYSTEM":
                    known.update(v for e in events["events"] for v in e.values() if v != "0")
    draw = random.Random(SEED)
    usable = {n: sorted(v for v in vs if parse(v)) for n, vs in sorted(versions.items())}
    names = draw.sample([n for n, vs in usable.items() if len(vs) >= EACH], PACKAGES)
    chosen = {name: draw.sample(usable[name], EACH) for name in names}
    halves = names[: PACKAGES // 2], names[PACKAGES // 2 :]
    return [[f"{n}=={chosen[n][i]}" for n in half] for i in range(EACH) for half in halves]


def one_file(files: list[list[str]]) -> list[str]:
    """A file of pins of different packages, as a deployment has one."""
    known = {line.partition("==")[0]: line for lines in files for line in lines}
    chosen = random.Random(SEED).sample(sorted(known.values()), KNOWN)
    return chosen + [f"ordinary-package-{i}==1.{i}" for i in range(THOUSAND - KNOWN)]


def of_pip_audit(program: str, file: Path, port: int) -> Said:
    """What pip-audit says of a file of pins."""
    command = [program, "--requirement", str(file), "--no-deps", "--disable-pip", "--format",
               "json", "--progress-spinner", "off", "--vulnerability-service", "osv",
               "--osv-url", f"http://127.0.0.1:{port}/v1/query"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    said: Said = {}
    for entry in json.loads(done.stdout)["dependencies"]:
        if "version" in entry:
            said[normalised(entry["name"]), canonical(entry["version"])] = {
                frozenset([v["id"], *v["aliases"]]) for v in entry["vulns"]
            }
    return said


class Nothing(BaseHTTPRequestHandler):
    """An index that knows no package."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def locked(lines: list[str], folder: Path, index: str) -> Path:
    """The pins as a project with a lock file of uv."""
    rows = [(normalised(n), v) for n, _, v in (line.partition("==") for line in lines)]
    wanted = ", ".join(f'"{n}=={v}"' for n, v in rows)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "bench"\nversion = "1"\nrequires-python = ">=3.11"\n'
        f"dependencies = [{wanted}]\n"
    )
    held = ["version = 1", 'requires-python = ">=3.11"', "[[package]]", 'name = "bench"',
            'version = "1"', 'source = { virtual = "." }',
            f"dependencies = [{', '.join(f'{{ name = {n!r} }}' for n, _ in rows)}]"]  # fmt: skip
    for name, version in rows:
        file = f'url = "{index}/{name}.tar.gz", hash = "sha256:{"0" * 64}"'
        held += ["[[package]]", f'name = "{name}"', f'version = "{version}"',
                 f'source = {{ registry = "{index}" }}', f"sdist = {{ {file} }}"]  # fmt: skip
    (folder / "uv.lock").write_text("\n".join(held) + "\n")
    return folder / "uv.lock"


def of_uv(folder: Path, port: int) -> Said:
    """What uv says of a locked project."""
    command = ["uv", "audit", "--frozen", "--output-format", "json", "--service-url",
               f"http://127.0.0.1:{port}/"]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    said: Said = {}
    for entry in json.loads(done.stdout)["vulnerabilities"]:
        of = entry["dependency"]
        names = frozenset([entry["id"], *entry["aliases"]])
        said.setdefault((normalised(of["name"]), canonical(of["version"])), set()).add(names)
    return said


def of_weighbridge(file: Path, index: Path) -> Said:
    """What Weighbridge says of a file of pins."""
    command = [sys.executable, "-m", "weighbridge.apps.cli.main", "audit", str(file), "--format",
               "json", "--advisories", str(index)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    said: Said = {}
    for control in json.loads(done.stdout)["controls"]:
        for finding in control["findings"]:
            if finding["check"] == "affected-version" and " " in finding["symbol"]:
                name, version = finding["symbol"].split(" ", 1)
                rows = [row for table in finding["evidence"] for row in table["rows"]]
                if "is affected by" in finding["message"]:
                    said[name, canonical(version)] = {frozenset(row[0].split(", ")) for row in rows}
    return said


def main() -> None:
    """Run both, print how long each takes and where they differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("advisories", type=Path)
    parser.add_argument("--pip-audit")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.pip_audit is None and not install("pip-audit"):
        sys.exit("pip-audit cannot be installed")
    program = arguments.pip_audit or str(ENVIRONMENTS / "pip-audit" / "bin" / "pip-audit")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        facts: Facts = build(dump(arguments.advisories), place / "index", "bench")
        offered = server(place / "index")
        threading.Thread(target=offered.serve_forever, daemon=True).start()
        rows: list[str] = []
        spent = {"pip-audit": 0.0, "Weighbridge": 0.0}
        differ = 0
        files = pins(arguments.advisories)
        for number, lines in enumerate(files):
            file = place / f"requirements{number}.txt"
            file.write_text("\n".join(lines) + "\n")
            started = time.perf_counter()
            theirs = of_pip_audit(program, file, offered.server_address[1])
            between = time.perf_counter()
            ours = of_weighbridge(file, place / "index")
            spent["pip-audit"] += between - started
            spent["Weighbridge"] += time.perf_counter() - between
            for line in lines:
                name, _, written = line.partition("==")
                name, version = normalised(name), canonical(written)
                said = theirs.get((name, version)), ours.get((name, version), set())
                rows.append(row(line, said[0] or set()))
                if not same(*said):
                    differ += 1
                    print(f"{line}: pip-audit {_names(said[0])}, Weighbridge {_names(said[1])}")
        whole = place / "requirements.txt"
        whole.write_text("\n".join(one_file(files)) + "\n")
        if shutil.which("uv"):
            beside_uv(one_file(files), place, offered.server_address[1])
        times: dict[str, list[float]] = {"pip-audit": [], "Weighbridge": []}
        for _ in range(TIMES):
            started = time.perf_counter()
            of_pip_audit(program, whole, offered.server_address[1])
            between = time.perf_counter()
            of_weighbridge(whole, place / "index")
            times["pip-audit"].append(between - started)
            times["Weighbridge"].append(time.perf_counter() - between)
        offered.shutdown()
    print(f"{facts.count:,} advisories, {len(rows):,} pins of {PACKAGES} packages; {differ} differ")
    for tool, seconds in spent.items():
        print(f"{tool}: {seconds:.2f} s in {len(files)} runs")
    theirs_took, ours_took = (statistics.median(taken) for taken in times.values())
    print(
        f"{THOUSAND:,} pins in one file, median of {TIMES}: pip-audit {theirs_took:.2f} s, "
        f"Weighbridge {ours_took:.2f} s, {theirs_took / ours_took:.1f} times"
    )
    if arguments.out:
        arguments.out.write_text("\n".join(rows) + "\n")


def beside_uv(lines: list[str], place: Path, port: int) -> None:
    """Print how long uv and Weighbridge take for one lock file, and where they differ."""
    empty = ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    threading.Thread(target=empty.serve_forever, daemon=True).start()
    folder = place / "locked"
    folder.mkdir()
    file = locked(lines, folder, f"http://127.0.0.1:{empty.server_address[1]}/simple")
    took: dict[str, list[float]] = {"uv": [], "ours": []}
    for _ in range(TIMES):
        started = time.perf_counter()
        theirs = of_uv(folder, port)
        between = time.perf_counter()
        ours = of_weighbridge(file, place / "index")
        took["uv"].append(between - started)
        took["ours"].append(time.perf_counter() - between)
    empty.shutdown()
    differ = [k for k in theirs.keys() | ours.keys()
              if not same(theirs.get(k, set()), ours.get(k, set()))]  # fmt: skip
    uv, weighbridge = (statistics.median(t) for t in took.values())
    print(
        f"{len(lines):,} pins in uv.lock, median of {TIMES}: uv audit {uv:.2f} s, Weighbridge "
        f"{weighbridge:.2f} s, {uv / weighbridge:.1f} times; {len(differ)} differ {differ[:5]}"
    )


def row(pin: str, said: set[frozenset[str]]) -> str:
    """A pin, how many weaknesses are named, and a digest of their names."""
    names = "\n".join(sorted(min(v) for v in said))
    return f"{pin}\t{len(said)}\t{hashlib.sha256(names.encode()).hexdigest()[:16]}"


def same(theirs: set[frozenset[str]] | None, ours: set[frozenset[str]]) -> bool:
    """Whether both name the same weaknesses, under whichever of their names."""
    if theirs is None:
        return False
    return all(any(a & b for b in ours) for a in theirs) and all(
        any(a & b for b in theirs) for a in ours
    )


def _names(said: set[frozenset[str]] | None) -> str:
    return "skips it" if said is None else str(sorted(min(v) for v in said) or "nothing")


if __name__ == "__main__":
    main()
