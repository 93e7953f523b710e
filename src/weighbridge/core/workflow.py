"""The parts of a CI workflow: what starts it, its jobs, their steps.

Terms: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax. Texts are
as they stand in the file, expressions (`${{ }}`) included; lines count from 1.
"""

from __future__ import annotations

from msgspec import Struct


class Trigger(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event that starts a workflow. `types`, `branches` and `workflows` narrow it down."""

    event: str
    line: int
    types: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step: an action that is used (`uses`, `inputs`) or a script (`run`).

    `lines` says where a part stands: `uses`, `run` (the first line of the script itself), `if`,
    `env.NAME`, `with.NAME`.
    """

    line: int
    id: str = ""
    name: str = ""
    uses: str = ""
    run: str = ""
    shell: str = ""
    folder: str = ""
    condition: str = ""
    env: dict[str, str] = {}
    inputs: dict[str, str] = {}
    lines: dict[str, int] = {}


class Job(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One job. `runner` are the labels of `runs-on`, `group` its runner group. `permissions` None:
    not declared. `uses` names a reusable workflow, `secrets` what it is given (`{"*": "inherit"}`:
    all). `images` are those of its container and services. `lines` says where a part stands: a key,
    or `env.NAME`."""

    id: str
    line: int
    name: str = ""
    condition: str = ""
    needs: tuple[str, ...] = ()
    runner: tuple[str, ...] = ()
    group: str = ""
    environment: str = ""
    permissions: dict[str, str] | None = None
    env: dict[str, str] = {}
    outputs: dict[str, str] = {}
    matrix: dict[str, tuple[str, ...]] = {}
    uses: str = ""
    inputs: dict[str, str] = {}
    secrets: dict[str, str] = {}
    images: tuple[str, ...] = ()
    shell: str = ""
    folder: str = ""
    steps: tuple[Step, ...] = ()
    lines: dict[str, int] = {}
