"""Documents are told apart by identity: a cache must never mistake one file for another."""

from __future__ import annotations

from pickles import call, name, text, whole
from weighbridge.analysis.pickle_calls import read
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.tree import Held
from weighbridge.formats.pickle import PICKLE, Pickle


def test_two_files_of_one_size_and_path_are_read_apart() -> None:
    found = []
    for module in ("os", "nt"):
        data = whole(call(name(module, "system"), text("id")))
        assert PICKLE.parse is not None
        document = PICKLE.parse(Held("x", data), Location("x"), Limits())
        assert isinstance(document, Pickle)
        found.append([use.target.dotted for use in read(document).uses])
    assert found == [["os.system"], ["nt.system"]]
