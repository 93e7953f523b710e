"""Check `runs-by-itself`."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from weighbridge.analysis.code_names import acting_names
from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import within
from weighbridge.core.regex import regex
from weighbridge.formats.text import Written

READ: Final = 1 << 20
QUOTED: Final = 2_000


class _Kind(Struct, frozen=True):
    """A file that some program obeys without being asked: `path` is where it stands, `holds`
    returns the part of its text that acts, or None."""

    path: re.Pattern[str]
    holds: Callable[[str], str | None]
    who: str


def _whole(text: str) -> str | None:
    return text if text.strip() else None


def _quote(pattern: str) -> Callable[[str], str | None]:
    searched = regex(pattern)

    def holds(text: str) -> str | None:
        found = searched.search(text)
        return None if found is None else text[max(0, found.start() - 600) :][:QUOTED]

    return holds


def _import_lines(text: str) -> str | None:
    """The lines that `site` executes: those that begin with `import` and a blank."""
    lines = [line for line in text.splitlines() if line.startswith(("import ", "import\t"))]
    return "\n".join(lines) or None


_KINDS: Final = tuple(
    _Kind(regex(rf"(?:.*/)?{path}"), holds, who)
    for path, holds, who in (
        (r"[^/]+\.pth", _import_lines, "Python runs these lines whenever it starts, once this "
         "file lies in site-packages"),
        (r"(?:site|user)customize\.py", _whole, "Python imports this file whenever it starts in "
         "or with this folder on its path"),
        (r"(?:\.git(?:/modules/.*)?|\.husky|\.githooks)/(?:hooks/)?(?:applypatch-msg|commit-msg"
         r"|fsmonitor-watchman|p4-\w+|post-\w+(?:-\w+)?|pre-\w+(?:-\w+)?|prepare-commit-msg"
         r"|proc-receive|push-to-checkout|reference-transaction|sendemail-validate|update)",
         _whole, "git runs this hook when it is used in the folder"),
        (r"binding\.gyp", _quote(r"<!@?\(|[\"']action[\"']\s*:\s*\["), "node-gyp runs this command "
         "when the folder is installed as a package"),
        (r"\.envrc", _whole, "direnv runs this file when a shell enters the folder"),
        (r"\.Rprofile", _whole, "R runs this file when it starts in the folder"),
        (r"(?:ipython|jupyter\w*)_config\.py", _whole, "Jupyter or IPython runs this file when it "
         "starts in the folder"),
        (r"\.vscode/tasks\.json|[^/]+\.code-workspace", _quote(r'"runOn"\s*:\s*"folderOpen"'),
         "Visual Studio Code runs this task when the folder is opened"),
        (r"\.?devcontainer(?:/.*)?\.json", _quote(r'"initializeCommand"\s*:'),
         "an editor runs this command on the host when it opens the folder in a container"),
        (r"\.claude/settings(?:\.local)?\.json", _quote(r'"command"\s*:\s*"'),
         "a coding assistant runs this command when it works in the folder"),
        (r"\.mcp\.json|\.(?:cursor|vscode)/mcp\.json|\.gemini/settings\.json",
         _quote(r'"command"\s*:\s*"'), "a coding assistant starts this server in the folder"),
    )
)  # fmt: skip


@check("runs-by-itself", control="payload-scan", reads=Written)
def runs_by_itself(document: Written) -> Iterator[Finding]:
    """A file that some program runs without being asked is among the model's files.

    ## Why it matters
    A `.pth` file, a git hook, an editor's task or a shell's folder settings act when somebody
    starts Python, opens the folder or enters it, not when the model is loaded. No model needs
    them, and who scans only what a loader reads does not see them.

    ## What to do
    Deploy the model without the file. If it came with a package, look at what it runs: the
    packages of 2026 that stole credentials used such files.

    ## Limits
    Whether the program is there and obeys the file on your machine is not known. Only files under
    their known names count. Lines of a `.pth` file that execute or connect block; anything else
    is for you to judge; in an installed environment (`--env`) it is a note.

    ## References
    - https://docs.python.org/3/library/site.html
    - https://git-scm.com/docs/githooks
    - https://attack.mitre.org/techniques/T1546/
    """
    where, own = within(document.where.path)
    path = (document.where.inside or (own,))[-1]
    for kind in _KINDS:
        if not kind.path.fullmatch(path):
            continue
        text = document.blob.read(0, READ).decode("utf-8", "replace")
        part = kind.holds(text)
        if part is None:
            continue
        acting = _acting(part) if path.endswith(".pth") else []
        using = f" (they use {', '.join(acting[:6])})" if acting else ""
        yield Finding(
            message=kind.who + using,
            at=document.where,
            action=Action.BLOCK if acting else _unless_usual(where, path),
            symbol=path.rpartition("/")[2],
            evidence=(Text("What is run", text=part[:QUOTED]),),
        )


def _unless_usual(part: str, path: str) -> Action:
    """Installed packages bring `.pth` files; elsewhere none is usual."""
    return Action.NOTE if part == "env" and path.endswith(".pth") else Action.REVIEW


_USUAL: Final = frozenset({"__import__", "importlib", "os"})
"""What the `.pth` files of honest packages use as well."""
_OF_OS: Final = regex(r"exec[lv]p?e?|(?:posix_)?spawn\w*|startfile|fork(?:pty)?")


def _acting(lines: str) -> list[str]:
    """The names in these lines that execute or connect; an import alone is what the file is for."""
    names: set[str] = set()
    found: set[str] = set()
    for line in lines.splitlines():
        try:
            tree = ast.parse(line.strip())
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            names.update(re.findall(r"\w+", line))
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.alias):
                names.update(node.name.split("."))
            elif isinstance(node, ast.Attribute):
                names.add(node.attr)
                if _OF_OS.fullmatch(node.attr):
                    found.add(node.attr)
    return sorted(found.union(acting_names(names - _USUAL)))
