"""Check `agent-configuration`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.training_ways import drawn
from weighbridge.core.check import Audit, Domain, check
from weighbridge.core.document import Malformed
from weighbridge.core.evidence import AttackPath, Table, Text
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location, within
from weighbridge.core.regex import regex

READ: Final = 1 << 20
SHOWN: Final = 100
_INSTRUCTIONS: Final = regex(
    r"(?:.*/)?(?:AGENTS?|CLAUDE|GEMINI|QWEN|SKILL)(?:\.local)?\.md|(?:.*/)?\.(?:cursor|windsurf|cline)rules"
    r"|(?:.*/)?\.cursor/rules/.+|(?:.*/)?\.github/(?:copilot-instructions\.md|instructions/.+\.md"
    r"|prompts/.+\.md|agents/.+\.md)|(?:.*/)?\.(?:claude|codex|gemini|opencode)/.+\.md"
    r"|(?:.*/)?\.(?:windsurf|clinerules|roo|kiro)/.+\.md",
)
_SETTINGS: Final = regex(
    r"(?:.*/)?\.(?:claude|gemini|codex|cursor|vscode|roo|kiro)/[^/]+\.(?:json|toml)|(?:.*/)?\.mcp\.json"
)
_LETS: Final = regex(
    r"\"Bash(?:\(\*\)|\(:\*\))?\"|\"defaultMode\"\s*:\s*\"bypassPermissions\""
    r"|\"enableAllProjectMcpServers\"\s*:\s*true|\"chat\.tools\.(?:global\.)?autoApprove\"\s*:\s*true"
    r"|approval_policy\s*=\s*\"never\"|sandbox_mode\s*=\s*\"danger-full-access\""
    r"|\"trust\"\s*:\s*true|\"autoApprove\"\s*:\s*\[\s*\"\*\""
)
"""What lets an assistant run commands without asking."""
_HIDDEN: Final = regex("[\U000e0000-\U000e007f]{2,}|[\u202a-\u202e\u2066-\u2069]"
                            "|[\u200b\u200c\u2060\u2062-\u2064]{4,}")  # fmt: skip
"""Tags, changes of direction, and runs of characters without width."""


@check("agent-configuration", control="training-code", reads=Audit)
def agent_configuration(audit: Audit) -> Iterator[Finding | Gap]:
    """Files of the repository tell coding assistants and editors what to do.

    ## Why it matters
    Assistants obey these files with the rights of whoever works in the repository: they edit the
    training code, run commands, hold tokens. A setting that lets them run commands unasked, or an
    instruction that a person cannot see, is a way into the code that no review of the code shows.

    ## What to do
    Review changes of these files like code. Take out settings that switch off the question, and
    characters that nobody sees.

    ## Limits
    Only files under their known names. What an instruction means is not judged. Commands that
    start by themselves are the matter of `runs-by-itself`.

    ## References
    - https://www.pillar.security/blog/new-vulnerability-in-github-copilot-and-cursor-how-hackers-can-weaponize-code-agents
    - https://cwe.mitre.org/data/definitions/1427.html
    """
    listed: list[tuple[str, str]] = []
    for path, blob in audit.blobs.items():
        if audit.domain(path) is not Domain.SOURCE:
            continue
        inner = within(path)[1]
        settings = _SETTINGS.fullmatch(inner) is not None
        if not settings and not _INSTRUCTIONS.fullmatch(inner):
            continue
        listed.append((path, "settings" if settings else "instructions"))
        try:
            text = blob.read(0, READ).decode("utf-8", "replace")
        except (OSError, Malformed):
            why = "this file for coding assistants could not be read"
            yield Gap(kind=GapKind.UNREADABLE, message=why, at=Location(path))
            continue
        if blob.size > READ:
            why = f"only the first {READ:,} bytes of this file for coding assistants were read"
            yield Gap(kind=GapKind.TOO_LARGE, message=why, at=Location(path))
        hidden = _HIDDEN.search(text)
        if hidden is not None:
            line = text.count("\n", 0, hidden.start()) + 1
            shown = text[max(0, hidden.start() - 80) : hidden.end() + 80]
            yield Finding(
                message="an assistant reads characters here that a person does not see",
                at=Location(path, line=line),
                action=Action.REVIEW,
                symbol="hidden characters",
                evidence=(
                    _way(
                        Location(path, line=line), "an assistant reads what nobody sees, and acts"
                    ),
                    Text("Spelled out", text=shown.encode("ascii", "backslashreplace").decode()),
                ),
            )
        lets = _LETS.search(text) if settings else None
        if lets is not None:
            at = Location(path, line=text.count("\n", 0, lets.start()) + 1)
            yield Finding(
                message=f"an assistant may run commands without asking: {lets[0]}",
                at=at,
                action=Action.REVIEW,
                symbol=lets[0],
                evidence=(
                    _way(at, f"an assistant runs commands unasked: {lets[0]}"),
                    Text("The setting", text=lets[0]),
                ),
            )
    if listed:
        yield Finding(
            message=f"{len(listed):,} files tell coding assistants or editors what to do",
            at=Location(listed[0][0]),
            action=Action.NOTE,
            symbol="assistants",
            evidence=(Table("The files", ("file", "what"), tuple(listed[:SHOWN])),),
        )


def _way(at: Location, does: str) -> AttackPath:
    return drawn(
        "From the file to whoever works here", [("whoever changes this file", at), (does, at)]
    )
