"""CPython's own C unpickler as the oracle: which names does loading these bytes ask for?

`find_class` answers every name with an inert type, so nothing is imported and nothing runs. It is
still the real unpickler on hostile bytes, so it works in a forked child under resource limits and
the engine's jail, and only the list of names comes back.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import tempfile
from pathlib import Path
from typing import Any

from weighbridge.engine.jail import confine


class _Inert:
    """Accepts whatever a pickle does to an object."""

    def __new__(cls, *args: Any, **kwargs: Any) -> _Inert:
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> _Inert:
        return _Inert()

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Any) -> None:
        pass

    def add(self, value: Any) -> None:
        pass


class _InertType(type):
    """A class on which BUILD works as on an instance."""

    def __getattribute__(cls, name: str) -> Any:
        if name == "__setstate__":
            return lambda state: None
        return super().__getattribute__(name)


class _Oracle(pickle.Unpickler):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.names: list[tuple[str, str]] = []

    def find_class(self, module: str, name: str) -> Any:
        self.names.append((module, name))
        return _InertType("Inert", (_Inert,), {})

    def persistent_load(self, pid: Any) -> Any:
        return _Inert()


def names(data: bytes) -> tuple[list[tuple[str, str]], bool]:
    """The names asked for, in order, and whether the pickle was read to its STOP."""
    with tempfile.TemporaryDirectory() as folder:  # made out here: in the jail none can be removed
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(reader)
                confine([Path(folder)], 1 << 30, 20)
                oracle = _Oracle(data)
                whole = True
                try:
                    oracle.load()
                except BaseException:
                    whole = False
                answer = json.dumps([oracle.names, whole])
                view = memoryview(answer.encode("ascii"))
                while view:
                    view = view[os.write(writer, view) :]
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            received = pipe.read()
        os.waitpid(child, 0)
    if not received:
        raise RuntimeError("the oracle died: its answer is missing, not empty")
    asked, whole = json.loads(received)
    return [(m, n) for m, n in asked], bool(whole)
