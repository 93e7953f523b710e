"""What a script can do that matters to a supply chain, by name."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """What is done."""

    REMOTE_SCRIPT = "remote-script"
    """Something that was downloaded is run, and nothing compares it with what was meant."""
    INSTALL_GIT = "install-git"
    """A package is installed from git, from no commit that is fixed."""
    INSTALL_PLAIN = "install-plain"
    """A package is installed without the protection of TLS."""
    INSTALL_INDEX = "install-index"
    """A second index is asked for the same names as the first."""
    INSTALL_UNPINNED = "install-unpinned"
    """Packages are installed in whatever version is the newest."""
    MODEL_DOWNLOAD = "model-download"
    """A model or data set is fetched without naming a commit."""
    PUBLISH = "publish"
    """Something is written where others take it from; `detail` says what sort of thing."""
    ATTEST = "attest"
    """What was built is signed, or its provenance is stated; `detail` says which."""
    LITERAL_SECRET = "literal-secret"
    """A credential stands in the command itself."""
    LOCAL_CODE = "local-code"
    """A program that lies in the working folder is run; `target` is it, where it has a name."""
    FOREIGN_CHECKOUT = "foreign-checkout"
    """The working folder is changed to a revision that is named from outside."""
    FOREIGN_FETCH = "foreign-fetch"
    """A revision that is named from outside is fetched; the working folder stays as it is. `target`
    is the name that it gets here, if it gets one."""
    REVISION = "revision"
    """The working folder is changed to another revision."""
    ARTIFACT = "artifact"
    """An artifact of another run is fetched."""
    AGENT = "agent"
    """A language model is asked, with tools of its own."""
    PERMISSION = "permission"
    """The permission of an account is asked for."""
    UNREAD = "unread"
    """What is done lies within more shells than are opened."""


class Act(Struct, frozen=True):
    """One thing that is done: in which line, and how the command reads."""

    kind: Kind
    line: int
    text: str
    detail: str = ""
    target: str = ""
