"""The parts of an image's build, its stages and their instructions, and names of images.

Terms: https://docs.docker.com/reference/dockerfile/. Lines count from 1.
"""

from __future__ import annotations

from msgspec import Struct


class Instruction(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One instruction. `name` is in capitals; `trigger`: it runs in builds on top of this image
    (`ONBUILD`).

    `text` is what follows the flags: of `RUN` a shell script whose first line is `line`, elsewhere
    with the variables that are known replaced. `words` are its words without quotes, `exec` whether
    they are handed to no shell. `pairs` are what `ENV` and `ARG` set (an argument without a default
    has None), `heredocs` the texts of here-documents that are no part of a script.
    """

    name: str
    line: int
    text: str = ""
    words: tuple[str, ...] = ()
    exec: bool = False
    flags: tuple[tuple[str, str], ...] = ()
    pairs: tuple[tuple[str, str | None], ...] = ()
    heredocs: tuple[str, ...] = ()
    trigger: bool = False

    def flag(self, name: str) -> str | None:
        """The value of a flag, or None where it is not there."""
        return next((value for key, value in self.flags if key == name), None)


class Stage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stage: what it begins with, and its instructions in order.

    `image` is what `FROM` names with the known variables replaced, `said` as it is written, `base`
    the number of the earlier stage that it is, or None.
    """

    line: int
    image: str
    said: str
    name: str = ""
    base: int | None = None
    instructions: tuple[Instruction, ...] = ()


class ImageReference(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image that is named to be run. `image` is its name with what is known filled in, `said` as
    it is written where that differs; `line` counts from 1 (0: not known)."""

    image: str
    line: int = 0
    said: str = ""
