"""Text: validated through the whole file; JSON and scripts are told apart from prose.

Templates that stand in a configuration are handed out.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from weighbridge.core.document import Document, GraphDocument, Malformed
from weighbridge.core.fact import ImageLayers, Installs, Settings, SpecialTokens
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location, within
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, Held, Reference
from weighbridge.formats import jinja, tfjs
from weighbridge.formats.conda_installed import installed
from weighbridge.formats.git import is_lfs_hook
from weighbridge.formats.image_manifest import layers_of
from weighbridge.formats.inventory import bill_of_materials, skops_environment
from weighbridge.formats.keras_model import model_of
from weighbridge.formats.named_code import NamedCode, mappings, named_code
from weighbridge.formats.token_ids import statements

CHUNK: Final = 1 << 20
TEXT_LIMIT: Final = 256 << 20
JSON_LIMIT: Final = 40 << 20
JSON_SMALL: Final = 8 << 20
"""Up to here JSON is read by Python's own module, which sees a key that is given twice."""
JSON_WEIGHT: Final = 360 << 20
"""How much memory, roughly reckoned, the values of a JSON file may take."""
GO_TEMPLATE: Final = "go-template"
SYSTEM_PROMPT: Final = "system-prompt"
"""Roles of layers in Ollama's store."""
YAML_NAMES: Final = (".yaml", ".yml", "/mlmodel", "/.condarc")
_NAMED: Final = {
    "pipfile": "toml", "poetry.lock": "toml", "uv.lock": "toml", "pdm.lock": "toml",
    "pipfile.lock": "pipfile-lock", "setup.cfg": "ini", "pip.conf": "ini", "pip.ini": "ini",
}  # fmt: skip
"""Files that say what is to be installed are told by their names: their tools look at nothing
else."""
_YAML_KEYS: Final = regex(rb"^[ -]*[\"']?_target_[\"']? *:|!!python/|^flavors:", re.MULTILINE)
"""What a configuration says that makes a reader act, whatever its name."""
SETTINGS_LIMIT: Final = 4 << 20
SETTINGS_VALUES: Final = 50_000
TEXT_KEPT: Final = 256 << 10
"""How many characters of one value are told to the questions that go across files."""
_REQUIREMENTS: Final = regex(
    r".*[/:](?:[\w.-]*(?:requirements|constraints)[\w.-]*\.(?:txt|in)|requirements/[\w.-]+\.(?:txt|in))"
)
_EXPLICIT: Final = regex(rb"^@EXPLICIT\s*$", re.MULTILINE)
_LIGHTGBM: Final = regex(rb"(?:\xef\xbb\xbf)?tree\r?\n(?:version=v|num_class=)")
_MODEL: Final = regex(rb'\s*\{\s*"(?:learner|version|base_code|nodes)"\s*:\s*[\[{]')
"""How JSON of XGBoost, PaddlePaddle and MXNet begins."""
_NCNN: Final = regex(rb"7767517\r?\n\d{1,7} \d{1,7}\r?\n")
_LAYER: Final = regex(rb"^\s*layers?\s*:?\s*\{", re.MULTILINE)
_TYPED: Final = regex(rb"\btype\s*:\s*[\"'A-Z][^{}]*\b(?:top|bottom)\s*:|"
                           rb"\b(?:top|bottom)\s*:[^{}]*\btype\s*:\s*[\"'A-Z]")  # fmt: skip
TEMPLATES: Final = 5_000
"""How many templates of one file are handed out."""
_IMAGE: Final = regex(
    r".*/(?:(?:dockerfile|containerfile)(?:[._-][\w.-]*)?|[\w.-]+\.(?:dockerfile|containerfile))"
    r"(?<!\.jinja)(?<!\.jinja2)(?<!\.j2)(?<!\.tmpl)(?<!\.template)(?<!\.md)(?<!ignore)"
)
_SYSTEM: Final = regex(
    r"(?:/|:)(?:var/lib/dpkg/status(?:\.d/[^/]+(?<!\.md5sums))?|(?:usr/)?lib/apk/db/installed)$"
)
_RELEASE: Final = regex(r"(?:/|:)(?:etc|usr/lib)/os-release$")
_STANZA: Final = regex(rb"^(?:Package|P):[ \t]*\S", re.MULTILINE)
_PACKAGE: Final = regex(r"\.dist-info/metadata$|/pkg-info$")
_FROM: Final = regex(rb"\s*(?:#[^\n]*\n\s*)*(?:FROM|ARG)\s", re.IGNORECASE)
_WORKFLOW: Final = regex(r"(?:.*/)?\.github/workflows/[^/]+\.ya?ml", re.IGNORECASE)
_ACTION: Final = regex(r"(?:.*/)?action\.ya?ml", re.IGNORECASE)
_NOTEBOOK: Final = regex(rb'"cell_type"\s*:\s*"(?:code|markdown|raw|heading)"')
_RUNS: Final = regex(rb"^runs[ \t]*:", re.MULTILINE)
_CONTROL: Final = bytes(range(9)) + b"\x0b\x0e\x0f" + bytes(range(16, 27)) + b"\x1c\x1d\x1e\x1f"
_FIRST: Final = bytes(b for b in range(256) if b not in _CONTROL and not 0x80 <= b < 0xC2)
"""What a text can begin with."""
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"),
                (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_PYTHON: Final = regex(
    rb"^(?:from [\w.]+ import |import \w|def \w+\(|class \w+[(:]|async def |@\w+)", re.MULTILINE
)


class Written(Document, frozen=True, kw_only=True, eq=False):
    """Anything that is text, for what is looked for in all of it."""

    blob: Blob


class Text(Written, frozen=True, kw_only=True, eq=False):
    """A text file."""

    encoding: str


class Configuration(Written, frozen=True, kw_only=True, eq=False):
    """Values that a program reads from text, for the checks that ask what they make it do."""

    def roots(self) -> Iterator[tuple[str, Any]]:
        """Every value that it holds, hidden ones too, each under a name (often none)."""
        yield from ()

    def values(self) -> Iterator[Any]:
        """The roots, those with a name as a mapping of it."""
        for name, value in self.roots():
            yield {name: value} if name else value

    def mappings(self) -> tuple[dict[Any, Any], ...]:
        """Every mapping in it, each once, in order; found once for all who ask."""
        return _mappings(self)

    def code(self) -> Iterator[NamedCode]:
        """The classes that it has a loader import."""
        return named_code(self.values(), self.mappings())

    def walk(self) -> Iterator[Blob | Gap]:
        """The templates among its strings, named by the keys that lead to them."""
        found = 0
        for place, key, text in _strings(self.roots()):
            role = jinja.role_of(key, text)
            if not role:
                continue
            found += 1
            if found > TEMPLATES:
                why = f"more than {TEMPLATES:,} templates; the rest were not read"
                yield Gap(kind=GapKind.TOO_LARGE, message=why, at=self.where)
                return
            yield Held(place, text.encode("utf-8", "surrogatepass"), role)

    def refers(self) -> Iterator[Reference]:
        """The Python files that a loader imports because of it."""
        for code in self.code():
            if code.file:
                kind = "code" if code.certain else "candidate"
                yield Reference(at=self.where, path=code.file, what=code.what, kind=kind)


@lru_cache(maxsize=1)
def _mappings(document: Configuration) -> tuple[dict[Any, Any], ...]:
    return tuple(mappings(document.values()))


class Json(Configuration, frozen=True, kw_only=True, eq=False):
    """A JSON file and what it holds.

    `shadowed` are the values that a later one under the same key hides from most readers.
    """

    value: Any
    shadowed: tuple[tuple[str, Any], ...] = ()

    def roots(self) -> Iterator[tuple[str, Any]]:
        """The value, then what it shadows."""
        yield "", self.value
        yield from self.shadowed

    def facts(self) -> Iterator[ImageLayers | Installs | Settings | SpecialTokens]:
        """What is declared in a configuration of a known kind and of special tokens; what a bill of
        materials, the manifest of an image and an installed environment list."""
        for listed in (
            bill_of_materials(self.value, self.where),
            skops_environment(self.value, self.where),
            layers_of(self.value, self.where),
            installed(self.value, self.where),
        ):
            if listed is not None:
                yield listed
        kind = _kind(self.value) if self.size <= SETTINGS_LIMIT else None
        if kind is not None:
            yield Settings(at=self.where, kind=kind, values=plain(self.value, SETTINGS_VALUES))
        said = tuple(statements(self.value))
        if said:
            yield SpecialTokens(at=self.where, said=said)

    def walk(self) -> Iterator[Blob | Gap]:
        """The templates, and what a model of TensorFlow.js holds."""
        yield from Configuration.walk(self)
        yield from tfjs.parts(self.value)

    def refers(self) -> Iterator[Reference]:
        """The files that an index of weights names, and code."""
        yield from Configuration.refers(self)
        yield from tfjs.weights(self.value, self.where)
        shards = self.value.get("weight_map") if isinstance(self.value, dict) else None
        if isinstance(shards, dict):
            for path in sorted({p for p in shards.values() if isinstance(p, str)}):
                yield Reference(at=self.where, path=path)


class KerasModel(Json, GraphDocument, frozen=True, kw_only=True, eq=False):
    """The configuration of a Keras model: what its layers are, and how they are joined."""


_KINDS: Final = (
    ("adapter", frozenset({"peft_type"})),
    ("config", frozenset({"model_type", "architectures", "_class_name"})),
    ("tokenizer", frozenset({"tokenizer_class", "added_tokens_decoder"})),
    ("generation", frozenset({"do_sample", "max_new_tokens", "pad_token_id", "max_length"})),
)
"""What tells a configuration: any one of these keys, in this order."""


def _kind(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    return next((kind for kind, keys in _KINDS if not keys.isdisjoint(value)), None)


def plain(value: Any, budget: int) -> dict[str, Any]:
    """A copy of a mapping that shares nothing: values behind aliases stand as often as they are
    used, up to `budget` values in all; what goes beyond is left out."""
    left = [budget]

    def copy(given: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            return None
        if isinstance(given, dict):
            return {encodable(str(k)): copy(v) for k, v in given.items() if left[0] > 0}
        if isinstance(given, list):
            return [copy(v) for v in given if left[0] > 0]
        if isinstance(given, int) and not -(1 << 63) <= given < 1 << 64:
            return str(given)[:80] if abs(given) < 1 << 4096 else None
        if isinstance(given, str):
            return encodable(given[:TEXT_KEPT])
        return given if isinstance(given, int | float | bool) else None

    return copy(value) if isinstance(value, dict) else {}


def encodable(text: str) -> str:
    """The text without halves of characters, which foreign text may hold and UTF-8 may not."""
    return text.encode("utf-8", "replace").decode()


def _strings(roots: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Every string with an opening brace: its place, the nearest key that says anything, itself."""
    stack = [(name, name, value) for name, value in reversed(tuple(roots))]
    shared: set[int] = set()
    while stack:
        place, key, value = stack.pop()
        if isinstance(value, dict | list):
            if id(value) in shared:  # YAML's aliases
                continue
            shared.add(id(value))
        if isinstance(value, str):
            if "{" in value:
                yield place or "text", key, value
        elif isinstance(value, dict):
            name = value.get("name")
            named = name if isinstance(name, str) and "template" in value else ""
            for inner, item in reversed(value.items()):
                if isinstance(item, (str, dict, list)):
                    said = named[:60] or inner[:60]
                    label = "chat_template" if "chat_template" in key else inner
                    stack.append((f"{place}.{said}"[-160:].lstrip("."), label, item))
        elif isinstance(value, list):
            stack += [(place, key, item) for item in reversed(value) if _may_hold(item)]


def _may_hold(item: Any) -> bool:
    """Whether a string with a brace can be here; merges are lists of two texts without."""
    if isinstance(item, list):
        return any(type(i) is not str or "{" in i for i in item)
    return isinstance(item, dict) or (isinstance(item, str) and "{" in item)


class Source(Written, frozen=True, kw_only=True, eq=False):
    """Program text: what language, for the checks of code that come along."""

    language: str


class Empty(Document, frozen=True, kw_only=True, eq=False):
    """A file without bytes."""


def _encoding(head: bytes) -> str | None:
    """The encoding of a text's beginning, or None where it is not text."""
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name
    if head.translate(None, _CONTROL) != head:
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=False)
    except UnicodeDecodeError:
        return None
    return "utf-8"


def text_kind(sample: Sample) -> str | None:
    """Which text a blob is (`text`, `json`, `yaml`, `python`, `script`, `template`, `model-card`,
    `requirements`, `workflow`, `notebook`, `toml`, `ini`, `pipfile-lock`, `conda-explicit`,
    `lightgbm`, `ncnn`, `prototxt`, `dockerfile`, `package-metadata`, `entry-points`,
    `system-packages`, `os-release`), or None where it is none; asked by each of the text formats,
    worked out once."""
    if "text" not in sample.notes:
        sample.notes["text"] = _work_out(sample)
    return sample.notes["text"]


def file_name(path: str) -> str:
    """The last part of a path in lower case, without the name of what belongs to a target
    (`source:pyproject.toml`)."""
    return re.split("[/:]", path.lower())[-1]


def _work_out(sample: Sample) -> str | None:
    head = sample.head
    if sample.blob.role in (jinja.ROLE, jinja.LOOSE, tfjs.TOPOLOGY, GO_TEMPLATE, SYSTEM_PROMPT):
        return None  # its container has said what it is
    if not head or _encoding(head) is None:
        return None
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    if head.startswith(b"version https://git-lfs") or is_lfs_hook(head):
        return None
    name = f"/{sample.blob.path.lower()}"
    # What is called Python and is text is held to it, however it begins: an importer looks at the
    # name alone. Under other names it must prove to be.
    if name.endswith((".py", ".pyi", ".pyw")):
        return "python"
    if head.startswith(b"#!") and b"python" not in head.split(b"\n", 1)[0]:
        return "script"
    if name == "/readme.md":
        return "model-card"
    if _PACKAGE.search(name) and head.startswith(b"Metadata-Version:"):
        return "package-metadata"
    if _SYSTEM.search(name) and _STANZA.search(head):
        return "system-packages"
    if _RELEASE.search(name):
        return "os-release"
    if name.endswith(".dist-info/entry_points.txt"):
        return "entry-points"
    if _IMAGE.fullmatch(name) and _FROM.match(head):
        return "dockerfile"
    if _is_workflow(sample):
        return "workflow"
    if _is_template(sample):
        return "template"
    if _REQUIREMENTS.fullmatch(name):
        return "requirements"
    if named := _NAMED.get(file_name(name)) or ("toml" if name.endswith(".toml") else None):
        return named
    if _EXPLICIT.search(head):
        return "conda-explicit"
    if start == b"{" and (name.endswith(".ipynb") or _NOTEBOOK.search(head)):
        return "notebook"
    if start in (b"{", b"[") and (b'"' in head or start == b"["):
        return "json"
    if _PYTHON.search(head) and _compiles(sample):
        return "python"
    if name.endswith(YAML_NAMES) or _YAML_KEYS.search(head):
        return "yaml"
    return _graph(head, name) or "text"


def _graph(head: bytes, name: str) -> str:
    """The framework whose model a text is, or the empty string. Asked last: none of them acts, and
    most that does can quote them."""
    if _LIGHTGBM.match(head):
        return "lightgbm"
    if _NCNN.match(head):
        return "ncnn"
    layers = _LAYER.search(head) and (_TYPED.search(head) or name.endswith(".prototxt"))
    return "prototxt" if layers else ""


def _is_workflow(sample: Sample) -> bool:
    """What GitHub takes for a workflow by its place, or an action by its name and what it says."""
    name = sample.blob.path
    if is_workflow_path(name):
        return True
    return is_action_path(name) and _RUNS.search(sample.blob.read(0, CHUNK)) is not None


def is_workflow_path(path: str) -> bool:
    """Whether GitHub would take a file of this path for a workflow, wherever the root is."""
    part, inner = within(path)
    return part != "env" and _WORKFLOW.fullmatch(inner) is not None


def is_action_path(path: str) -> bool:
    """Whether a file of this path describes an action."""
    return _ACTION.fullmatch(within(path)[1]) is not None


def _compiles(sample: Sample) -> bool:
    if sample.blob.size > len(sample.head):
        return False
    try:
        compile(sample.head, "<text>", "exec", 0x400, dont_inherit=True)  # ast.PyCF_ONLY_AST
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _validate(blob: Blob, where: Location) -> tuple[int, tuple[Gap, ...], str]:
    """Decode the whole file; returns bytes seen, gaps, encoding."""
    encoding = _encoding(blob.read(0, 8 << 10)) or "utf-8"
    decoder = codecs.getincrementaldecoder(encoding)()
    size = min(blob.size, TEXT_LIMIT)
    for offset in range(0, size, CHUNK):
        data = blob.read(offset, CHUNK)
        try:
            decoder.decode(data, final=offset + CHUNK >= blob.size)
        except UnicodeDecodeError as error:
            raise Malformed("it begins as text and goes on as something else",
                            offset + error.start) from None  # fmt: skip
        if encoding == "utf-8" and b"\0" in data:
            at = offset + data.index(b"\0")
            raise Malformed("it begins as text and goes on as something else", at)
    gaps: tuple[Gap, ...] = ()
    if blob.size > size:
        why = f"only the first {size:,} bytes of this text were looked at"
        gaps = (Gap(kind=GapKind.TOO_LARGE, message=why, at=where),)
    return size, gaps, encoding


_TEMPLATE_NAMES: Final = (".jinja", ".jinja2", ".j2", ".template", ".tmpl", ".tpl")
_PAGES: Final = (".md", ".rst", ".html", ".htm", ".xml", ".svg", ".vue", ".tex", ".bib", ".ipynb")
"""Prose and pages quote templates, or are those of another engine."""


def _is_template(sample: Sample) -> bool:
    """A text whose name says that it is a template or that begins as one, and that Jinja takes."""
    name = sample.blob.path.lower().rpartition("/")[2]
    begins = sample.head.removeprefix(codecs.BOM_UTF8).lstrip()[:2] in (b"{%", b"{{", b"{#")
    named = name.endswith(_TEMPLATE_NAMES) or "template" in name.removesuffix(".txt").split(".")[-1]
    if name.endswith(_PAGES) or not (begins or named) or sample.blob.size > 4 * jinja.LIMIT:
        return False
    try:
        return jinja.is_template(sample.blob.read(0, sample.blob.size).decode("utf-8-sig"))
    except UnicodeDecodeError:
        return False


def _unread(where: Location, what: str) -> Gap:
    return Gap(kind=GapKind.UNSUPPORTED, message=f"{what} is here and was not read", at=where)


def read_text(blob: Blob, where: Location, limits: Limits) -> Text:
    """A blob as plain text. Raises `Malformed` where it is none."""
    seen, gaps, encoding = _validate(blob, where)
    name = blob.path.lower()
    if name.endswith(_TEMPLATE_NAMES[:3]) and jinja.MARK.search(
        blob.read(0, CHUNK).decode("latin-1")
    ):
        gaps = (*gaps, _unread(where, "a template that Jinja does not take"))
    return Text(where=where, size=blob.size, seen=seen, gaps=gaps, blob=blob, encoding=encoding)


def read_json(blob: Blob, where: Location, limits: Limits) -> Document:
    """A blob as JSON, or as text where it is none. Raises `Malformed` where it is not even that."""
    if blob.size > JSON_LIMIT:
        return _large(blob, where, limits, f"JSON of more than {JSON_LIMIT:,} bytes")
    data = blob.read(0, blob.size)
    weight = len(data) + 64 * data.count(b",") + 72 * data.count(b"[") + 200 * data.count(b"{")
    if len(data) > JSON_SMALL and weight > JSON_WEIGHT:
        return _large(blob, where, limits, "JSON of too many values")
    try:
        value, shadowed = _load(data)
    except (ValueError, RecursionError):
        return read_text(blob, where, limits)  # JSON lines, a template, a list in prose: still text
    made = Json if model_of(value) is None else KerasModel
    return made(
        where=where, size=blob.size, seen=len(data), blob=blob, value=value, shadowed=shadowed
    )


def _load(data: bytes) -> tuple[Any, tuple[tuple[str, Any], ...]]:
    """The value, and what a later value of the same key hides. `ValueError` if it is no JSON."""
    if len(data) > JSON_SMALL:  # it takes a third less memory, and half of the time
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.json.decode(data), ()
    shadowed: list[tuple[str, Any]] = []

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs) and len(shadowed) < TEMPLATES:
            shadowed.extend((k, v) for k, v in pairs if value[k] is not v)
        return value

    return json.loads(data, object_pairs_hook=made), tuple(shadowed)


def _large(blob: Blob, where: Location, limits: Limits, what: str) -> Text:
    """JSON that is too large to hold: a gap if it is a model or says that it holds something that
    acts."""
    text = read_text(blob, where, limits)
    met: set[str] = {"the model"} if _MODEL.match(blob.read(0, CHUNK)) else set()
    for offset in range(0, min(blob.size, TEXT_LIMIT), CHUNK):
        data = blob.read(max(0, offset - 20), CHUNK + 20)
        met |= {name for mark, name in _ACTING.items() if mark in data}
    gaps = tuple(
        Gap(kind=GapKind.TOO_LARGE, message=f"{what}: {name} in it was not read", at=where)
        for name in sorted(met)
    )
    return replace(text, gaps=(*text.gaps, *gaps))


_ACTING: Final = {
    b"chat_template": "the template",
    b'"modelTopology"': "the graph",
    b'"class_name"': "the Keras configuration",
}
"""What says that JSON holds something that acts, whatever its size."""


def _source(language: str) -> Callable[[Blob, Location, Limits], Source]:
    def parse(blob: Blob, where: Location, limits: Limits) -> Source:
        seen, gaps, _ = _validate(blob, where)
        gaps = (*gaps, _unread(where, f"code ({language})"))
        return Source(
            where=where, size=blob.size, seen=seen, gaps=gaps, blob=blob, language=language
        )

    return parse


def _empty(blob: Blob, where: Location, limits: Limits) -> Empty:
    return Empty(where=where, size=0, seen=0)


TEXT = Format(
    name="text", title="Text", loading=Loading.DATA, sniff=lambda s: text_kind(s) == "text",
    first=_FIRST, parse=read_text, document=Text,
    limits="Validated as text.",
)  # fmt: skip
JSON = Format(
    name="json", title="JSON", loading=Loading.DATA, sniff=lambda s: text_kind(s) == "json",
    first=_FIRST, parse=read_json, document=Json,
    limits="Up to 40 MiB, larger ones are validated as text.",
)  # fmt: skip
SCRIPT = Format(
    name="script", title="Script", loading=Loading.CODE,
    sniff=lambda s: text_kind(s) == "script", first=b"#",
    parse=_source("script"), document=Source,
    limits="Recognised as code; what it does is not read, which is a gap.",
)  # fmt: skip
EMPTY = Format(
    name="empty", title="Empty file", loading=Loading.DATA,
    sniff=lambda s: not s.head, parse=_empty, document=Empty,
)  # fmt: skip
