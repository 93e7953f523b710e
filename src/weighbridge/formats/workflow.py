"""GitHub Actions: workflows and actions, read from the events of the YAML parser.

Syntax: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax and
.../metadata-syntax. Every scalar stays a text, so that the key `on` is no truth value and a version
`3.10` no number; each remembers its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, TypeVar

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.fact import Automation
from weighbridge.core.format import Format, Limits, Loading
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.core.workflow import Job, Step, Trigger
from weighbridge.formats.text import Written, is_action_path, read_text, text_kind
from weighbridge.formats.yaml import Marked, MarkedComposer

SIZE_LIMIT: Final = 1 << 20
"""In bytes. GitHub takes no workflow that is nearly as long."""
VALUES: Final = 5_000
"""How many values one mapping or list of a workflow may have."""
TEXT: Final = 1 << 20
"""How many characters all texts of a workflow may have, each as often as an alias repeats it."""
_SILENCE: Final = regex(r"\b(?:zizmor: ?ignore|poutine: ?ignore|nosemgrep)", re.IGNORECASE)
COMMENTS: Final = 200


class Workflow(Written, frozen=True, kw_only=True, eq=False):
    """A workflow or an action, with what it says."""

    automation: Automation

    def facts(self) -> Iterator[Automation]:
        """What it says, for the questions that go across files."""
        yield self.automation


def _parse(blob: Blob, where: Location, limits: Limits) -> Document:
    text = read_text(blob, where, limits)
    if blob.size > SIZE_LIMIT:
        raise Malformed(f"a workflow of more than {SIZE_LIMIT:,} bytes")
    data = blob.read(0, blob.size)
    try:
        decoded = data.decode(text.encoding)
    except UnicodeDecodeError:
        raise Malformed("no text") from None
    made = MarkedComposer()
    made.read(decoded.removeprefix("\ufeff").encode("utf-8", "surrogatepass"))
    if not made.documents:  # everything is a comment, so GitHub runs nothing of it
        idle = Automation(at=where, action=is_action_path(blob.path))
        return Workflow(where=where, size=blob.size, seen=blob.size, blob=blob, automation=idle)
    if len(made.documents) != 1 or not isinstance(made.documents[0], dict):
        raise Malformed("no single mapping, which a workflow is")
    reader = _Reader(made.lines)
    whole = made.documents[0]
    action = is_action_path(blob.path) and "runs" in whole
    silenced = tuple(
        (number, line.strip()[:200])
        for number, line in enumerate(decoded.splitlines(), 1)
        if _SILENCE.search(line.partition("#")[2])
    )
    said = reader.action(whole) if action else reader.workflow(whole)
    said["silenced"] = silenced[:COMMENTS]
    automation = Automation(at=where, action=action, **said)
    return Workflow(
        where=where,
        size=blob.size,
        seen=blob.size,
        gaps=text.gaps,
        blob=blob,
        automation=automation,
    )


class _Reader(Struct):
    """Turns composed values into the nouns. What has a wrong shape is taken as far as it goes."""

    lines: dict[int, int]
    left: int = TEXT

    def text(self, value: Any) -> str:
        """A scalar as it stands."""
        if not isinstance(value, str):
            return ""
        self.left -= len(value) + 1
        if self.left < 0:
            raise Malformed(f"more than {TEXT:,} characters, aliases included")
        return str.__str__(value)

    def texts(self, value: Any) -> tuple[str, ...]:
        """A scalar or a list of them."""
        values = _bounded(value) if isinstance(value, list) else [value]
        return tuple(self.text(v) for v in values if isinstance(v, str) and v)

    def mapping(self, value: Any) -> dict[str, str]:
        """A mapping of scalars; a list as a value is joined by lines."""
        if not isinstance(value, dict):
            return {}
        return {
            str.__str__(k): "\n".join(self.texts(v)) if isinstance(v, list) else self.text(v)
            for k, v in _bounded(value).items()
        }

    def line(self, value: Any, default: int = 1) -> int:
        """The line of a value."""
        return value.line if isinstance(value, Marked) else self.lines.get(id(value), default)

    def workflow(self, whole: dict[str, Any]) -> dict[str, Any]:
        """What a workflow says."""
        jobs = whole.get("jobs")
        triggers = tuple(self.triggers(whole.get("on")))
        if not isinstance(jobs, dict):
            raise Malformed("no workflow: it has no jobs")
        on = whole.get("on")
        called = on.get("workflow_call") if isinstance(on, dict) else None
        inputs: Any = called.get("inputs") if isinstance(called, dict) else None
        outputs: Any = called.get("outputs") if isinstance(called, dict) else None
        defaults = self._defaults(whole)
        return {
            "name": self.text(whole.get("name")),
            "triggers": triggers,
            "permissions": self.permissions(whole),
            "env": self.mapping(whole.get("env")),
            "lines": self.places(whole, "env"),
            "inputs": self._valued(inputs, "default"),
            "outputs": self._valued(outputs, "value"),
            "jobs": tuple(
                self.job(str.__str__(name), job, key, defaults)
                for (name, job), key in zip(jobs.items(), jobs, strict=True)
                if isinstance(job, dict)
            ),
        }

    def action(self, whole: dict[str, Any]) -> dict[str, Any]:
        """What an action says."""
        runs = whole.get("runs")
        if not isinstance(runs, dict):
            raise Malformed("no action: nothing says what it runs")
        steps = self.steps(runs.get("steps"))
        image = self.text(runs.get("image"))
        job = Job(id="action", line=self.line(runs), steps=steps, images=(image,) if image else ())
        return {
            "name": self.text(whole.get("name")),
            "using": self.text(runs.get("using")),
            "inputs": self._valued(whole.get("inputs"), "default"),
            "outputs": self._valued(whole.get("outputs"), "value"),
            "jobs": (job,),
        }

    def _valued(self, value: Any, key: str) -> dict[str, str]:
        if not isinstance(value, dict):
            return {}
        return {
            str.__str__(name): self.text(said.get(key)) if isinstance(said, dict) else ""
            for name, said in _bounded(value).items()
        }

    def triggers(self, value: Any) -> Iterator[Trigger]:
        """`on`: a name, a list of names, or a mapping with filters."""
        if isinstance(value, dict):
            for event, filters in _bounded(value).items():
                said = filters if isinstance(filters, dict) else {}
                yield Trigger(
                    event=self.text(event),
                    line=self.line(event),
                    types=self.texts(said.get("types")),
                    branches=self.texts(said.get("branches")),
                    tags=self.texts(said.get("tags")),
                    workflows=self.texts(said.get("workflows")),
                )
        else:
            for event in _bounded(value) if isinstance(value, list) else [value]:
                if isinstance(event, str) and event:
                    yield Trigger(event=self.text(event), line=self.line(event))

    def permissions(self, holder: dict[str, Any]) -> dict[str, str] | None:
        """None where not declared; `{"*": "read"}` and `{"*": "write"}` for all of them."""
        if "permissions" not in holder:
            return None
        said = holder["permissions"]
        if isinstance(said, str):
            level = said.removesuffix("-all")
            return {"*": level} if level in ("read", "write") else {}
        return self.mapping(said)

    def _defaults(self, holder: dict[str, Any]) -> dict[str, str]:
        said = holder.get("defaults")
        return self.mapping(said.get("run")) if isinstance(said, dict) else {}

    def job(self, name: str, said: dict[str, Any], key: Any, defaults: dict[str, str]) -> Job:
        """One job."""
        runs_on = said.get("runs-on")
        group = labels = runs_on
        if isinstance(runs_on, dict):
            group, labels = runs_on.get("group"), runs_on.get("labels")
        else:
            group = None
        environment = said.get("environment")
        if isinstance(environment, dict):
            environment = environment.get("name")
        strategy = said.get("strategy")
        secrets = said.get("secrets")
        own = {**defaults, **self._defaults(said)}
        keys = ("uses", "if", "permissions", "runs-on", "secrets", "environment")
        return Job(
            id=name,
            line=self.line(key),
            name=self.text(said.get("name")),
            condition=self.text(said.get("if")),
            needs=self.texts(said.get("needs")),
            runner=self.texts(labels),
            group=self.text(group),
            environment=self.text(environment),
            permissions=self.permissions(said),
            env=self.mapping(said.get("env")),
            outputs=self.mapping(said.get("outputs")),
            matrix=self.matrix(strategy.get("matrix") if isinstance(strategy, dict) else None),
            uses=self.text(said.get("uses")),
            inputs=self.mapping(said.get("with")),
            secrets={"*": "inherit"} if secrets == "inherit" else self.mapping(secrets),
            images=tuple(self.images(said)),
            shell=own.get("shell", ""),
            folder=own.get("working-directory", ""),
            steps=self.steps(said.get("steps")),
            lines={k: self.line(said[k]) for k in keys if k in said} | self.places(said, "env"),
        )

    def matrix(self, said: Any) -> dict[str, tuple[str, ...]]:
        """The values of each variable of a matrix, those of `include` among them; of `*` where an
        expression makes all of them."""
        if not isinstance(said, dict):
            return {"*": self.texts([said])} if isinstance(said, str) else {}
        made: dict[str, tuple[str, ...]] = {}
        include = said.get("include")
        if isinstance(include, str):
            made["*"] = self.texts([include])
        rows = _bounded(include) if isinstance(include, list) else []
        for name, values in [
            *said.items(),
            *(i for r in rows if isinstance(r, dict) for i in r.items()),
        ]:
            if name not in ("include", "exclude"):
                made[str.__str__(name)] = made.get(name, ()) + self.matrix_values(values)
        return made

    def matrix_values(self, values: Any) -> tuple[str, ...]:
        """The texts among the values of a variable; one level of lists and mappings is opened."""
        listed = values if isinstance(values, list) else [values]
        inner = [
            v for value in _bounded(listed) for v in (value if isinstance(value, list) else [value])
        ]
        return self.texts(inner)

    def images(self, said: dict[str, Any]) -> Iterator[str]:
        """The images that a job runs in and beside."""
        services = said.get("services")
        for place in (
            said.get("container"),
            *(services.values() if isinstance(services, dict) else ()),
        ):
            image = place.get("image") if isinstance(place, dict) else place
            if isinstance(image, str) and image:
                yield self.text(image)

    def places(self, said: dict[str, Any], part: str, otherwise: int = 1) -> dict[str, int]:
        """Where the values of a mapping stand, as `part.NAME`."""
        inner = said.get(part)
        if not isinstance(inner, dict):
            return {}
        return {f"{part}.{k}": self.line(v, otherwise) for k, v in inner.items()}

    def steps(self, said: Any) -> tuple[Step, ...]:
        """The steps in order."""
        if not isinstance(said, list):
            return ()
        return tuple(self.step(step) for step in said if isinstance(step, dict))

    def step(self, said: dict[str, Any]) -> Step:
        """One step."""
        line = self.line(said)
        lines: dict[str, int] = {
            k: self.line(said[k], line) for k in ("uses", "run", "if") if k in said
        }
        lines |= self.places(said, "env", line) | self.places(said, "with", line)
        return Step(
            line=line,
            id=self.text(said.get("id")),
            name=self.text(said.get("name")),
            uses=self.text(said.get("uses")),
            run=self.text(said.get("run")),
            shell=self.text(said.get("shell")),
            folder=self.text(said.get("working-directory")),
            condition=self.text(said.get("if")),
            env=self.mapping(said.get("env")),
            inputs=self.mapping(said.get("with")),
            lines=lines,
        )


Values = TypeVar("Values", list[Any], dict[str, Any])


def _bounded(values: Values) -> Values:
    """The same, unless there are more of them than any workflow has: nothing is cut silently."""
    if len(values) > VALUES:
        raise Malformed(f"more than {VALUES:,} values in one place")
    return values


WORKFLOW = Format(
    name="workflow",
    title="GitHub Actions workflow",
    loading=Loading.DATA,
    sniff=lambda sample: text_kind(sample) == "workflow",
    parse=_parse,
    document=Workflow,
    limits="Up to 1 MiB. Told by its path and its keys. Merge keys are not resolved, as on GitHub.",
)
