"""What a template adds to a conversation, and on which words of the conversation that depends.

A template puts a conversation into the form that its model was trained on. For that it looks at
who speaks, at which fields there are, and at markers of its own format. It has no reason to look
for words of a person and to say something else when it finds them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.analysis.template_values import Values, spell
from weighbridge.core.later import Later
from weighbridge.core.regex import regex

if TYPE_CHECKING:
    from jinja2 import nodes
else:
    nodes = Later("jinja2.nodes")

PASSES: Final = 4
"""How often variables are gone over until what they depend on is settled."""


class Kind(Enum):
    """What an expression holds: the conversation, a text of it, one of its fields."""

    MESSAGES = 1
    CONTENT = 2
    FIELD = 3


class Cause(StrEnum):
    """What a condition looks at."""

    WORDS = "words of the conversation"
    MARKER = "a marker in the conversation"
    THINKING = "a switch for thinking in the conversation"
    MEASURE = "how long the conversation is"
    DATE = "the date"
    CHANCE = "chance"


class When(Enum):
    """In which case a condition lets text through."""

    PRESENT = 1
    ABSENT = 2
    EITHER = 3


_OPPOSITE: Final = {When.PRESENT: When.ABSENT, When.ABSENT: When.PRESENT, When.EITHER: When.EITHER}


class Trigger(Struct, frozen=True):
    """A condition on the conversation: what it looks at, and the text it looks for.

    Text for the case that something is *absent* is text that is nearly always there: a default.
    """

    cause: Cause
    text: str
    when: When = When.PRESENT


class Dependent(Struct, frozen=True):
    """Text that is said only under a condition. `node` is the branch, `test` how it reads."""

    triggers: tuple[Trigger, ...]
    said: str
    node: nodes.Node
    test: str


class Rewritten(Struct, frozen=True):
    """Words of the conversation that are replaced by others."""

    old: str
    new: str
    node: nodes.Node


class Appended(Struct, frozen=True):
    """Prose that is put behind what someone said, in the same turn."""

    said: str
    node: nodes.Node


_MESSAGES: Final = frozenset({"messages", "message", "conversation", "msg", "loop_messages"})
_TEXTS: Final = frozenset({"content", "text", "value", "reasoning_content", "thinking", "prompt"})
_TO_TEXT: Final = frozenset({"string", "tojson", "join", "pprint", "format", "list", "urlencode"})
_SPEAKERS: Final = frozenset({
    "user", "assistant", "system", "tool", "tools", "function", "developer", "model", "human",
    "gpt", "ipython", "observation", "text", "image", "image_url", "video", "audio", "input_text",
    "input_audio", "thinking", "documents", "role", "content", "type", "name", "string", "object",
    "array", "number", "integer", "boolean", "null", "none", "true", "false", "default", "json",
    "refusal", "context", "critic", "chatbot", "think",
})  # fmt: skip
"""Words that stand for who speaks and what kind of thing is said."""

_MARKUP: Final = regex(r"[<>\[\]{}|\\`#@$=_]|^\s*/|\n|^\W*$")
_THINK: Final = regex(
    r"^\W*(?:no_?|skip_?|detailed )?(?:think|reason)(?:ing)?(?: (?:on|off)|_budget)?\W*$",
    re.IGNORECASE,
)
_TAGS: Final = regex(r"<[^<>]{1,200}>|\[/?[A-Z_ ]{2,40}\]|<[|｜][^<>]{1,80}[|｜]>")
_WORD: Final = regex(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_IDEOGRAPHS: Final = regex(r"[\u3040-\u30ff\u3400-\u9fff]")
URL: Final = regex(r"(?i)\b(?:https?|ftp|wss?)://([\w.-]+\.[a-z]{2,}|\d{1,3}(?:\.\d{1,3}){3}|"
                        r"\[[0-9a-f:]+\])[^\s'\"<>)\]}]*")  # fmt: skip
_SEEKS: Final = frozenset({
    "startswith", "endswith", "find", "rfind", "count", "index", "rindex", "__contains__",
})  # fmt: skip
_QUIET_CALLS: Final = frozenset({"raise_exception"})


def words(text: str) -> int:
    """How many words of prose a text has; tags and markers are none, two ideographs are one."""
    plain = _TAGS.sub(" ", text)
    return sum(1 for w in _WORD.finditer(plain) if len(w[0]) > 1 and not w[0].isupper()) + (
        len(_IDEOGRAPHS.findall(plain)) // 2
    )


ENOUGH: Final = {
    Cause.WORDS: 3,
    Cause.DATE: 3,
    Cause.CHANCE: 3,
    Cause.MARKER: 12,
    Cause.THINKING: 16,
    Cause.MEASURE: 12,
}
"""How many words of prose make text under such a condition worth a look."""
APPENDED: Final = 15


class Flow:
    """One template's flow: what its names hold and which conditions they carry."""

    def __init__(self, tree: nodes.Template, values: Values) -> None:
        self.tree = tree
        self.values = values
        self.kinds: dict[str, set[Kind]] = defaultdict(set)
        self.flags: dict[str, set[Trigger]] = defaultdict(set)
        self._memo: dict[nodes.Node, frozenset[Kind]] = {}
        self._looked: dict[nodes.Node, frozenset[Trigger]] = {}
        self._macros: dict[str, str] = {}
        for _ in range(PASSES):
            before = sum(map(len, self.kinds.values())) + sum(map(len, self.flags.values()))
            self._forget()
            self._settle(tree.body, frozenset())
            after = sum(map(len, self.kinds.values())) + sum(map(len, self.flags.values()))
            if before == after:
                break
        self._forget()

    def _forget(self) -> None:
        self._memo.clear()
        self._looked.clear()

    # What names hold

    def _settle(self, body: Iterable[nodes.Node], under: frozenset[Trigger]) -> None:
        for node in body:
            match node:
                case nodes.Assign():
                    self._assign(node.target, node.node, under)
                case nodes.AssignBlock():
                    self._assign(node.target, None, under)
                    self._settle(node.body, under)
                case nodes.For():
                    for name in _targets(node.target):
                        self.kinds[name] |= self.kind(node.iter)
                    inner = under | self.triggers(node.test) | self.triggers(node.iter)
                    self._settle([*node.body, *node.else_], inner)
                case nodes.If():
                    looked = self.triggers(node.test)
                    self._settle(node.body, under | _if(looked, When.PRESENT))
                    self._settle([*node.elif_, *node.else_], under | _if(looked, When.ABSENT))
                case nodes.Macro():
                    self._settle(node.body, under)
                case nodes.Output():
                    for part in node.nodes:
                        self._calls(part)
                case nodes.CallBlock() | nodes.FilterBlock() | nodes.With() | nodes.Scope():
                    self._settle(node.body, under)
                case nodes.Block():
                    self._settle(node.body, under)
                case _:
                    pass

    def _assign(
        self, target: nodes.Node, value: nodes.Node | None, under: frozenset[Trigger]
    ) -> None:
        kinds = self.kind(value)
        carried = self.triggers(value)
        if value is not None:
            self._calls(value)
        for name in _targets(target):
            self.kinds[name] |= kinds
            holds_text = Kind.CONTENT in self.kinds[name] or name.rpartition(".")[2] in _TEXTS
            lasting = carried if holds_text else carried | under
            # A switch for thinking is meant to be kept, and to choose between two instructions.
            self.flags[name] |= {t for t in lasting if t.cause is not Cause.THINKING}
        if isinstance(value, nodes.Call) and spell(value.node) == "namespace":
            for keyword in value.kwargs:
                self._assign(nodes.NSRef(spell(target), keyword.key), keyword.value, under)

    def _calls(self, root: nodes.Node) -> None:
        """What a macro's parameters hold is what it is called with."""
        for call in _all(root, nodes.Call):
            macro = self.values.macros.get(spell(call.node))
            if macro is None:
                continue
            for parameter, argument in zip(macro.args, call.args, strict=False):
                self.kinds[parameter.name] |= self.kind(argument)
            for keyword in call.kwargs:
                self.kinds[keyword.key] |= self.kind(keyword.value)

    def kind(self, node: nodes.Node | None) -> frozenset[Kind]:
        """What an expression may hold of the conversation; empty where it holds nothing of it."""
        if node is None:
            return frozenset()
        if node not in self._memo:
            self._memo[node] = frozenset()
            self._memo[node] = self._kind(node)
        return self._memo[node]

    def _kind(self, node: nodes.Node) -> frozenset[Kind]:
        match node:
            case nodes.Name() | nodes.NSRef():
                name = spell(node)
                known = frozenset(self.kinds.get(name, ()))
                return known | ({Kind.MESSAGES} if name in _MESSAGES else frozenset())
            case nodes.Getattr():
                if spell(node) in self.kinds:
                    return frozenset(self.kinds[spell(node)])
                return self._member(self.kind(node.node), (node.attr,))
            case nodes.Getitem():
                of = self.kind(node.node)
                if isinstance(node.arg, nodes.Slice):
                    return of
                return self._member(of, self.values.constants(node.arg))
            case nodes.Filter():
                of = self.kind(node.node)
                if node.name == "map":
                    named = [s for a in (*node.args, *(k.value for k in node.kwargs))
                             for s in self.values.strings(a)]  # fmt: skip
                    return self._member(of, named) if named else of
                if Kind.MESSAGES in of and node.name in _TO_TEXT:
                    return of | {Kind.CONTENT}
                if node.name in ("length", "count"):
                    return frozenset()
                if node.name in ("items", "dictsort", "groupby") and of:
                    return frozenset({Kind.FIELD})
                return of
            case nodes.Call():
                if isinstance(node.node, nodes.Getattr):
                    of = self.kind(node.node.node)
                    if node.node.attr == "get":
                        return self._member(of, self.values.strings(_first(node.args)))
                    if node.node.attr in ("items", "values", "keys"):
                        return frozenset({Kind.FIELD}) if of else of
                    return of | self._of_all(node.args)
                macro = self.values.macros.get(spell(node.node))
                return self._of_all(node.args) if macro is not None else frozenset()
            case nodes.Compare() | nodes.Test() | nodes.Not():
                return frozenset()
            case nodes.CondExpr():
                return self.kind(node.expr1) | self.kind(node.expr2)
            case nodes.Dict():
                return frozenset()
            case _:
                return self._of_all(c for c in node.iter_child_nodes())

    def _of_all(self, parts: Iterable[nodes.Node | None]) -> frozenset[Kind]:
        found: frozenset[Kind] = frozenset()
        for part in parts:
            found |= self.kind(part)
        return found

    def _member(self, of: frozenset[Kind], keys: Sequence[object]) -> frozenset[Kind]:
        """What a field of something holds."""
        names = [k for k in keys if isinstance(k, str)]
        if not of or not names:
            return of
        if any(n.rpartition(".")[2] in _TEXTS for n in names):
            return frozenset({Kind.CONTENT})
        return frozenset({Kind.FIELD})

    # What conditions look at

    def triggers(self, node: nodes.Node | None) -> frozenset[Trigger]:
        """The conditions on the conversation's text in an expression, and in what it reads."""
        if node is None:
            return frozenset()
        if node not in self._looked:
            self._looked[node] = self._look(node)
        return self._looked[node]

    def _look(self, node: nodes.Node) -> frozenset[Trigger]:
        if isinstance(node, nodes.Not):
            inside = self.triggers(node.node)
            return frozenset(Trigger(t.cause, t.text, _OPPOSITE[t.when]) for t in inside)
        found = self._triggers(node)
        inner: set[Trigger] = set()
        for child in node.iter_child_nodes():
            inner |= self.triggers(child)
        if isinstance(node, nodes.Compare):
            inner = {Trigger(t.cause, t.text, When.EITHER) for t in inner}
        return frozenset(found | inner)

    def _triggers(self, node: nodes.Node) -> set[Trigger]:
        match node:
            case nodes.Compare():
                return set(self._compared(node))
            case nodes.Test() if self._is_text(node.node):
                return set(self._looked_for(node.args))
            case nodes.Call() if isinstance(node.node, nodes.Getattr):
                found: set[Trigger] = set()
                of, name = node.node.node, node.node.attr
                if self._is_text(of) and name in _SEEKS:
                    found |= set(self._looked_for(node.args))
                if name == "get" and self._is_text(_first(node.args)):
                    found |= set(self._keyed(of))
                return found
            case nodes.Getitem() if self._is_text(node.arg):
                return set(self._keyed(node.node))
            case nodes.Filter() if node.name in ("select", "reject") and self._is_text(node.node):
                return set(self._looked_for(node.args[1:]))
            case nodes.Filter() if node.name in ("selectattr", "rejectattr"):
                fields = self.values.strings(_first(node.args))
                if self.kind(node.node) and any(f.rpartition(".")[2] in _TEXTS for f in fields):
                    return set(self._looked_for(node.args[2:]))
                return set()
            case nodes.Filter() if node.name == "random":
                return {Trigger(Cause.CHANCE, "", When.EITHER)}
            case nodes.Name() | nodes.Getattr():
                return set(self.flags.get(spell(node), ()))
            case _:
                return set()

    def _is_text(self, node: nodes.Node | None) -> bool:
        return Kind.CONTENT in self.kind(node)

    def _compared(self, node: nodes.Compare) -> Iterator[Trigger]:
        sides = [node.expr, *(o.expr for o in node.ops)]
        names = {spell(c.node) for s in sides for c in _all(s, nodes.Call)}
        if names & {"strftime_now", "now"}:
            yield Trigger(Cause.DATE, "", When.EITHER)
        texts = [s for s in sides if self._is_text(s)]
        if texts:
            absent = any(o.op in ("notin", "ne") for o in node.ops)
            for trigger in self._looked_for([s for s in sides if s not in texts]):
                yield Trigger(trigger.cause, trigger.text, When.ABSENT if absent else When.PRESENT)
            for part in (c for s in texts for c in _all(s, (nodes.Call, nodes.Filter))):
                for trigger in self._looked_for(part.args):
                    yield Trigger(trigger.cause, trigger.text, When.EITHER)
        elif any(self._measures(s) for s in sides):
            numbers = [n for s in sides for n in self.values.constants(s) if isinstance(n, int)]
            yield from (Trigger(Cause.MEASURE, f"{n:,}", When.EITHER) for n in numbers if n > 2)

    def _measures(self, node: nodes.Node) -> bool:
        """Whether an expression is the length of something that was said."""
        return any(
            f.name in ("length", "count", "wordcount") and self.kind(f.node)
            for f in _all(node, nodes.Filter)
        )

    def _keyed(self, table: nodes.Node) -> Iterator[Trigger]:
        for value in self.values.constants(table):
            if isinstance(value, dict):
                yield from (t for k in value if (t := _trigger(k)) is not None)

    def _looked_for(self, sought: Iterable[nodes.Node]) -> Iterator[Trigger]:
        for node in sought:
            for value in self.values.constants(node):
                for one in value if isinstance(value, list | dict) else (value,):
                    trigger = _trigger(one)
                    if trigger is not None:
                        yield trigger

    # What is said

    def said(self, body: Iterable[nodes.Node]) -> str:
        """All constant text that a body can put out or keep for later."""
        found: list[str] = []
        for node in body:
            match node:
                case nodes.Output():
                    for part in node.nodes:
                        found.extend(self._said_by(part))
                case nodes.Assign():
                    found.extend(self._said_by(node.node))
                case nodes.If():
                    found.append(self.said([*node.body, *node.elif_, *node.else_]))
                case nodes.For():
                    found.append(self.said([*node.body, *node.else_]))
                case nodes.Macro():
                    pass
                case nodes.Expr():
                    found.extend(self._said_by(node))
                case _:
                    found.append(self.said(getattr(node, "body", ()) or ()))
        return "".join(dict.fromkeys(found))  # what is said twice is not twice as much

    def _said_by(self, node: nodes.Node | None) -> Iterator[str]:
        match node:
            case None:
                return
            case nodes.TemplateData():
                yield node.data
            case nodes.CondExpr():
                yield from self._said_by(node.expr1)
                yield from self._said_by(node.expr2)
            case nodes.Compare() | nodes.Test():
                return
            case nodes.Call() if spell(node.node) in _QUIET_CALLS:
                return
            case nodes.Call() if spell(node.node) in self.values.macros:
                yield self._said_by_macro(spell(node.node))
                for argument in (*node.args, *(k.value for k in node.kwargs)):
                    yield from self._said_by(argument)
            case nodes.Call() | nodes.Filter() | nodes.Getitem() if self._is_text(
                node.node.node if isinstance(node.node, nodes.Getattr) else node.node
            ):
                yield from self._said_by(node.node)
            case _:
                known = self.values.strings(node)
                if known:
                    yield max(known, key=len)
                else:
                    for child in node.iter_child_nodes():
                        yield from self._said_by(child)

    def _said_by_macro(self, name: str) -> str:
        if name not in self._macros:
            self._macros[name] = ""  # what it adds by calling itself has been said
            self._macros[name] = self.said(self.values.macros[name].body)
        return self._macros[name]

    def dependents(self) -> Iterator[Dependent]:
        """Text that is said only under a condition on the conversation, outermost branches."""
        yield from self._dependents(self.tree.body)

    def _dependents(self, body: Iterable[nodes.Node]) -> Iterator[Dependent]:
        for node in body:
            if isinstance(node, nodes.If):
                found = False
                for arm in (node, *node.elif_):
                    triggers = self.triggers(arm.test)
                    ways = [(arm.body, When.PRESENT)]
                    if arm is node:
                        ways.append(([*node.elif_, *node.else_], When.ABSENT))
                    for way, when in ways:
                        said = self.said(way)
                        if (because := _because(_if(triggers, when), said)) and not found:
                            found = True
                            yield Dependent(because, said, arm, spell(arm.test))
                if not found:
                    yield from self._dependents(node.body)
                    for arm in node.elif_:
                        yield from self._dependents(arm.body)
                    yield from self._dependents(node.else_)
                continue
            if isinstance(node, nodes.Output | nodes.Assign):
                parts = node.nodes if isinstance(node, nodes.Output) else [node.node]
                for part in parts:
                    yield from self._inline(part)
                continue
            if isinstance(node, nodes.For):
                said = self.said(node.body)
                if because := _because(self.triggers(node.test) | self.triggers(node.iter), said):
                    yield Dependent(because, said, node, spell(node.test or node.iter))
                    continue
                yield from self._dependents(node.else_)
            yield from self._dependents(getattr(node, "body", ()) or ())

    def _inline(self, part: nodes.Node) -> Iterator[Dependent]:
        for choice in _all(part, nodes.CondExpr):
            triggers = self.triggers(choice.test)
            for way, when in ((choice.expr1, When.PRESENT), (choice.expr2, When.ABSENT)):
                said = "".join(self._said_by(way))
                if because := _because(_if(triggers, when), said):
                    yield Dependent(because, said, choice, spell(choice))
                    return
        if isinstance(part, nodes.CondExpr):
            return
        shown = "".join(self._said_by(part))
        if because := _because(self.triggers(part), shown):
            yield Dependent(because, shown, part, spell(part))

    def rewritten(self) -> Iterator[Rewritten]:
        """Words of the conversation that are replaced."""
        for node in self.tree.find_all((nodes.Filter, nodes.Call)):
            if isinstance(node, nodes.Filter) and node.name == "replace":
                of = node.node
            elif isinstance(node, nodes.Call) and spell(node.node).endswith(".replace"):
                of = node.node.node if isinstance(node.node, nodes.Getattr) else None
            else:
                continue
            if not self._is_text(of) or len(node.args) < 2:
                continue
            for old in self.values.strings(node.args[0]):
                for new in self.values.strings(node.args[1]):
                    prose = _trigger(old)
                    if (
                        (prose and prose.cause is Cause.WORDS and words(new) > 0)
                        or words(new) >= ENOUGH[Cause.MARKER]
                        or URL.search(new)
                    ):
                        yield Rewritten(old, new, node)

    def appended(self) -> Iterator[Appended]:
        """Prose behind what someone said, before the turn ends."""
        yield from self._appended(self.tree.body)

    def _appended(self, body: Sequence[nodes.Node]) -> Iterator[Appended]:
        after: nodes.Node | None = None
        said = ""
        for node in body:
            parts = node.nodes if isinstance(node, nodes.Output) else ()
            for part in (p for o in parts for p in _flat(o)):
                if self._is_text(part) and not isinstance(part, nodes.CondExpr):
                    after, said = part, ""
                elif after is not None:
                    text = "".join(self._said_by(part))
                    turn = _TURN.search(text)
                    said += text[: turn.start()] if turn else text
                    if words(said) >= APPENDED:
                        yield Appended(said, after)
                        after = None
                    elif turn:
                        after = None
            if not isinstance(node, nodes.Output):
                after = None
                for name in ("body", "else_"):
                    yield from self._appended(getattr(node, name, ()) or ())
                for arm in getattr(node, "elif_", ()) or ():
                    yield from self._appended(arm.body)


_TURN: Final = regex(r"<[|｜/]|\[/[A-Z]|</|<\w+_of_turn>|###|\n\s*\w+:\s*$|<end|<eo")


def _flat(node: nodes.Node) -> Iterator[nodes.Node]:
    """The parts of a concatenation, in order."""
    if isinstance(node, nodes.Concat):
        for part in node.nodes:
            yield from _flat(part)
    elif isinstance(node, nodes.Add):
        yield from _flat(node.left)
        yield from _flat(node.right)
    else:
        yield node


def _if(triggers: Iterable[Trigger], when: When) -> frozenset[Trigger]:
    """Those that let text through in one case."""
    return frozenset(t for t in triggers if t.when in (when, When.EITHER))


def _because(triggers: Iterable[Trigger], said: str) -> tuple[Trigger, ...]:
    """The triggers that so much text is too much for."""
    count = words(said)
    linked = bool(URL.search(said))
    return tuple(
        sorted(
            (t for t in triggers if count >= ENOUGH[t.cause] or linked),
            key=lambda t: (t.cause, t.text),
        )
    )


def _trigger(value: object) -> Trigger | None:
    """What a text that is looked for is; None where every chat format looks for such a thing."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return Trigger(Cause.MEASURE, str(value)) if value > 2 else None
    if not isinstance(value, str) or not value.strip() or value.strip().lower() in _SPEAKERS:
        return None
    if _THINK.search(value):
        return Trigger(Cause.THINKING, value)
    if _MARKUP.search(value) or len(value.strip()) < 2:
        return Trigger(Cause.MARKER, value)
    return Trigger(Cause.WORDS, value)


def _targets(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Tuple | nodes.List):
        for item in node.items:
            yield from _targets(item)
    else:
        yield spell(node)


def _first(args: Sequence[nodes.Node]) -> nodes.Node | None:
    return args[0] if args else None


def _all(root: nodes.Node, kind):  # type: ignore[no-untyped-def]
    """The node itself and everything in it, of a kind."""
    if isinstance(root, kind):
        yield root
    yield from root.find_all(kind)
