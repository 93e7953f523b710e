"""What tools that pack models for serving are told to install: MLflow, BentoML, Cog, Truss, skops.

Sources: https://mlflow.org/docs/latest/ml/model/ (`python_env.yaml`);
https://docs.bentoml.com/en/latest/reference/bentoml/bento-build-options.html;
https://github.com/replicate/cog/blob/main/docs/yaml.md;
https://docs.baseten.co/reference/truss-configuration.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from weighbridge.core.fact import Firmness, Installs, Requirement
from weighbridge.core.location import Location
from weighbridge.formats.project import Gathered, items, table
from weighbridge.formats.requirements import installs, read_lines
from weighbridge.formats.text import file_name

_LINES: Final = 1_000


def asked(documents: tuple[Any, ...], text: str, where: Location) -> Iterator[Installs]:
    """What the YAML documents of a file ask for, where they are those of such a tool."""
    name = file_name((where.inside or (where.path,))[-1])
    for value in documents[:1]:
        if not isinstance(value, dict):
            continue
        found = Gathered(where, "requirements", text)
        if name == "python_env.yaml":
            _lines(found, value.get("build_dependencies"), "build-system")
            _lines(found, value.get("dependencies"))
        elif name in ("bentofile.yaml", "bentofile.yml"):
            python = table(value, "python")
            _lines(found, python.get("packages"))
            found.file(python.get("requirements_txt"))
            for key, kind in (("index_url", "index"), ("trusted_host", "trusted-host")):
                for said in items(python.get(key)) or [python.get(key)]:
                    found.index(kind, said)
            for said in items(python.get("extra_index_url")) or [python.get("extra_index_url")]:
                found.index("extra", said)
            _systems(found, table(value, "docker").get("system_packages"))
        elif name == "cog.yaml":
            build = table(value, "build")
            _lines(found, build.get("python_packages"))
            found.file(build.get("python_requirements"))
            _systems(found, build.get("system_packages"))
        elif name in ("config.yaml", "config.yml") and (
            "model_framework" in value or "model_class_name" in value or "base_image" in value
        ):
            _lines(found, value.get("requirements"))
            found.file(value.get("requirements_file"))
            _systems(found, value.get("system_packages"))
        if found.requirements or found.files or found.indexes or found.unread:
            yield found.made()


def _lines(found: Gathered, said: Any, group: str = "") -> None:
    """Lines of pip."""
    for one in items(said)[:_LINES]:
        if not isinstance(one, str):
            found.unread.append(f"a requirement that is no text: {str(one)[:80]}")
            continue
        at = found.line(f"- {one}", f'- "{one}"', f"- '{one}'", one)
        read = installs(found.where, "requirements", tuple(read_lines(one)))
        found.requirements += [replace(r, line=at, group=group) for r in read.requirements]
        found.indexes += [replace(i, line=at) for i in read.indexes]
        found.files += [replace(f, line=at) for f in read.files]
        found.unread += read.unread


def _systems(found: Gathered, said: Any) -> None:
    """Packages of Debian: all of these tools build on it."""
    for one in items(said)[:_LINES]:
        if isinstance(one, str):
            name, pinned, version = one.partition("=")
            found.add(
                Requirement(
                    name=name.strip()[:200],
                    line=found.line(f"- {one}", one),
                    ecosystem="Debian",
                    version=version.strip()[:100] if pinned else None,
                    specifier=f"=={version.strip()[:100]}" if pinned else "",
                    firm=Firmness.EXACT if pinned else Firmness.NONE,
                )
            )
