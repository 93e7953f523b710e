"""List, from installed libraries, the classes that pickled models of theirs consist of.

Run it in an environment with the libraries; it writes `intel/names/needed/<library>.json` anew,
merging what it finds with what is there, so that names of older versions stay:

    python scripts/list_names.py torch scikit-learn scipy

The result is a proposal: review the difference before you commit it. A name belongs here only if
importing and calling it rebuilds data and does nothing else, whatever its arguments are.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "src" / "weighbridge" / "intel" / "names" / "needed"

SOURCES: dict[str, tuple[str, tuple[str, ...]]] = {
    "torch": (
        "layers, optimisers, tensor types: what state dicts and whole modules are rebuilt from",
        (
            "torch.nn.modules", "torch.optim", "torch.distributions", "torch.nn.parameter",
            "torch.ao.nn", "torch.nn.quantized", "torch.nn.utils.parametrizations",
            "torch.nn.utils.parametrize",
        ),
    ),
    "scikit-learn": ("fitted estimators and the helpers inside them", ("sklearn",)),
    "scipy": ("sparse matrices, interpolators, distributions", (
        "scipy.sparse", "scipy.interpolate", "scipy.spatial", "scipy.stats._distn_infrastructure",
        "scipy.stats._continuous_distns", "scipy.stats._discrete_distns",
    )),
    "transformers": ("training arguments, configurations, models", (
        "transformers.training_args", "transformers.training_args_seq2seq",
        "transformers.trainer_utils", "transformers.models", "transformers.configuration_utils",
        "transformers.generation.configuration_utils",
    )),
    "xgboost": ("boosters and their wrappers", ("xgboost.core", "xgboost.sklearn")),
    "lightgbm": ("boosters and their wrappers", ("lightgbm.basic", "lightgbm.sklearn")),
}  # fmt: skip

ACTS = (
    "modular_", "tokenization_", "processing_", "feature_extraction_", "test", "_testing",
    "datasets", "download", "conftest", "externals", "cpp_extension", "convert_", "Dataset",
    "Loader", "Hub", "Server", "Process", "Thread",
)  # fmt: skip
"""Parts of names whose bearers read, fetch or start something."""


def classes(roots: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Every class that is defined below these modules, by the module that defines it."""
    for root in roots:
        try:
            package = importlib.import_module(root)
        except ImportError as error:
            print(f"not installed: {root} ({error})", file=sys.stderr)
            continue
        modules = [root]
        if hasattr(package, "__path__"):
            found = pkgutil.walk_packages(package.__path__, root + ".", onerror=lambda _: None)
            modules += [m.name for m in found]
        for name in modules:
            if any(part in name for part in ACTS):
                continue
            try:
                module = importlib.import_module(name)
            except Exception as error:  # an optional part of the library
                print(f"skipped {name}: {type(error).__name__}", file=sys.stderr)
                continue
            for attribute, value in vars(module).items():
                if inspect.isclass(value) and value.__module__.startswith(root.split(".")[0]):
                    if not any(part in value.__qualname__ for part in ACTS):
                        yield value.__module__, value.__qualname__
                elif attribute.startswith("__pyx_unpickle_"):
                    yield name, attribute


def merge(library: str, why: str, names: Iterator[tuple[str, str]]) -> None:
    """Write a library's list, keeping the names that are there."""
    path = FOLDER / f"{library}.json"
    entry = json.loads(path.read_text()) if path.exists() else {"library": library, "why": why}
    known: dict[str, set[str]] = {m: set(n) for m, n in entry.get("names", {}).items()}
    for module, name in names:
        known.setdefault(module, set()).add(name)
    entry["reviewed"] = date.today().isoformat()
    entry["names"] = {m: sorted(n) for m, n in sorted(known.items())}
    lines = ",\n".join(f"  {json.dumps(m)}: {json.dumps(n)}" for m, n in entry["names"].items())
    head = {k: v for k, v in entry.items() if k != "names"}
    path.write_text(json.dumps(head)[:-1] + ', "names": {\n' + lines + "\n}}\n")


def main() -> int:
    """Command line; see the module's documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("libraries", nargs="+", choices=sorted(SOURCES))
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    for library in args.libraries:
        why, roots = SOURCES[library]
        merge(library, why, classes(roots))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
