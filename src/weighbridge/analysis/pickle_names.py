"""The names a pickle reaches, sorted by what is known of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct

from weighbridge.analysis.pickle_calls import Named, Use, read
from weighbridge.formats.pickle import Pickle
from weighbridge.intel.names import Name, Standing, classify, module_effect


class Reached(Struct, frozen=True):
    """One distinct name with everything that reaches it; `first` is shown, `count` said."""

    target: Named
    name: Name
    first: Use
    uses: tuple[Use, ...]

    @property
    def called(self) -> bool:
        """Whether loading calls it, and does not only import it."""
        return any(use.called for use in self.uses)


def reached(pickle: Pickle, *standings: Standing) -> Iterator[Reached]:
    """The distinct names of these standings, in the order in which loading meets them."""
    return (found for found in _all_reached(pickle) if found.name.standing in standings)


@lru_cache(maxsize=2)
def _all_reached(pickle: Pickle) -> tuple[Reached, ...]:
    """Every distinct name, worked out once for all the checks that read the pickle."""
    groups: dict[Named, list[Use]] = {}
    for use in read(pickle).uses:
        groups.setdefault(use.target, []).append(use)
    found: list[Reached] = []
    for target, uses in groups.items():
        first = next((u for u in uses if u.called), uses[0])
        name = standing(target, called=first.called)
        found.append(Reached(target, name, first, tuple(uses)))
    return tuple(found)


def standing(target: Named, *, called: bool) -> Name:
    """What is known of a name, also of a module and of an attribute of a known class.

    An attribute of a needed class is needed while it is only looked up (that is how enumeration
    members and bound methods are pickled); once it is called, nobody has reviewed it.
    """
    if not target.name:
        effect = module_effect(target.module)
        return Name(Standing.ACTING, effect) if effect else Name(Standing.UNKNOWN, "")
    found = classify(target.module, target.name)
    owner, dot, attribute = target.name.rpartition(".")
    if found.standing is Standing.UNKNOWN and dot and not called and not attribute.startswith("_"):
        parent = classify(target.module, owner)
        if parent.standing is Standing.NEEDED:
            return parent
    return found
