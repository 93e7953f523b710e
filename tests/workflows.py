"""Workflows for the tests: attacks, look-alikes behind a guard, and how it is done well.

Each case says what has to be reviewed or blocked, and nothing more may be. All are written for the
tests; the two that are named after a project rebuild its guard, not its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import dedent, indent

import msgspec

from weighbridge.core.check import Audit
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

SHA = "11bd71901bbe5b1630ceea73d27597364c9af683"
CHECKOUT = f"uses: actions/checkout@{SHA}"
HEAD = f"uses: actions/checkout@{SHA}\nwith:\n  ref: ${{{{ github.event.pull_request.head.sha }}}}"
TOKEN = "env:\n  HF_TOKEN: ${{ secrets.HF_TOKEN }}"


@dataclass(frozen=True)
class Case:
    """`sort` is `attack`, `guarded` or `fixed`; `expected` are `check: action` for all findings
    that are more than a note."""

    name: str
    sort: str
    files: dict[str, str]
    expected: frozenset[str]


CASES: list[Case] = []


def workflow(
    on: str, *steps: str, top: str = "permissions:\n  contents: read", job: str = ""
) -> str:
    """A workflow with one job. `job` are further keys of the job."""
    made = (
        f"name: w\non:\n{indent(dedent(on).strip(), '  ')}\n{dedent(top).strip()}\njobs:\n  work:\n"
    )
    if "runs-on" not in job:
        made += "    runs-on: ubuntu-latest\n"
    if job:
        made += indent(dedent(job).strip(), "    ") + "\n"
    made += "    steps:\n"
    for step in steps:
        lines = dedent(step).strip().split("\n")
        made += f"      - {lines[0]}\n" + "".join(f"        {line}\n" for line in lines[1:])
    return made


def case(name: str, sort: str, files: str | dict[str, str], *expected: str) -> None:
    """Add a case."""
    if isinstance(files, str):
        files = {".github/workflows/w.yml": files}
    CASES.append(Case(name, sort, files, frozenset(expected)))


def look(files: Mapping[str, str | bytes]) -> tuple[list[Finding], list[Gap]]:
    """What the supply-chain checks say of these files; what was never handed over is left out."""
    blobs = {
        path: Held(path, text.encode() if isinstance(text, str) else text)
        for path, text in sorted(files.items())
    }
    ruleset = load()
    examined = [examine(blob, ruleset, Limits()) for blob in blobs.values()]
    audit = Audit(
        files=tuple(e.record for e in examined),
        artifacts=(),
        facts=tuple(f for e in examined for f in e.facts),
        blobs=dict(blobs),
    )
    findings: list[Finding] = []
    gaps = [g for e in examined for g in e.gaps]
    for check in ruleset.audit_checks:
        if check.run.__module__.startswith("weighbridge.checks.supply_chain."):
            for said in check.run(audit):
                if isinstance(said, Gap):
                    gaps.append(said)
                else:
                    findings.append(msgspec.structs.replace(said, check=check.id))
    return findings, [gap for gap in gaps if gap.kind is not GapKind.NOT_GIVEN]


def said(files: dict[str, str], least: Action = Action.REVIEW) -> frozenset[str]:
    """`check: action` of all findings of at least this weight."""
    order = [Action.NOTE, Action.REVIEW, Action.BLOCK]
    findings, _ = look(files)
    return frozenset(
        f"{f.check}: {f.action.value}"
        for f in findings
        if order.index(f.action) >= order.index(least)
    )


PRT = "pull_request_target:"
COMMENT = "issue_comment:\n  types: [created]"
UNTRUSTED = "workflow-untrusted-code: "
INJECTION = "workflow-injection: "
UNPINNED = "workflow-unpinned-action: review"
DOWNLOAD = "workflow-download: review"
CACHE = "release-cache: review"
SECRET = "release-secret: review"
TOKENED = "release-credential: review"
UNSIGNED = "release-attestation: review"
UNTRACED = "release-publishing: review"
RUNNER = "workflow-runner: review"
AGENT = "workflow-agent: review"
RIGHTS = "workflow-permissions: review"

# -- the code of outsiders ------------------------------------------------------------------------
case(
    "a pull request is tested beside a token",
    "attack",
    workflow(PRT, HEAD, "run: pip install -e . && pytest", job=TOKEN),
    UNTRUSTED + "block",
)
case(
    "a pull request is built with a token that writes",
    "attack",
    workflow(PRT, HEAD, "run: make", top="permissions:\n  contents: write"),
    UNTRUSTED + "block",
)
case(
    "a pull request is built, and nobody says what the token may",
    "attack",
    workflow(PRT, HEAD, "run: npm ci", top=""),
    UNTRUSTED + "review",
    RIGHTS,
)
case(
    "the branch of a fork by name",
    "attack",
    workflow(
        PRT,
        f"""
        uses: actions/checkout@{SHA}
        with:
          repository: ${{{{ github.event.pull_request.head.repo.full_name }}}}
          ref: ${{{{ github.head_ref }}}}
     """,
        "run: bash scripts/build.sh",
        job=TOKEN,
    ),
    UNTRUSTED + "block",
)
case(
    "the merge of a pull request by its number",
    "attack",
    workflow(
        PRT,
        f"""
        uses: actions/checkout@{SHA}
        with:
          ref: refs/pull/${{{{ github.event.number }}}}/merge
     """,
        "run: tox",
        job=TOKEN,
    ),
    UNTRUSTED + "block",
)
case(
    "a comment checks out and runs",
    "attack",
    workflow(
        COMMENT,
        CHECKOUT,
        """
        run: |
          gh pr checkout ${{ github.event.issue.number }}
          python setup.py test
        env:
          GH_TOKEN: ${{ github.token }}
     """,
        job="if: startsWith(github.event.comment.body, '/test')\n" + TOKEN,
    ),
    UNTRUSTED + "block",
)
case(
    "git fetches the pull request and switches to it in the next step",
    "attack",
    workflow(
        PRT,
        CHECKOUT,
        "run: git fetch --depth=1 origin pull/${{ github.event.number }}/merge",
        "run: git switch --detach FETCH_HEAD",
        "run: make test",
        job=TOKEN,
    ),
    UNTRUSTED + "block",
)
case(
    "git fetches the pull request to be read, and never changes to it",
    "fixed",
    {
        ".github/workflows/w.yml": workflow(
            COMMENT,
            CHECKOUT,
            "run: bash .github/prepare.sh",
            "run: make report",
            job=TOKEN,
        ),
        ".github/prepare.sh": "git fetch --no-tags origin +refs/pull/$1/head:refs/review/head\n"
        "git diff HEAD refs/review/head > review/changes.diff\n",
    },
)
case(
    "what ran before the pull request was switched to",
    "fixed",
    workflow(
        PRT,
        CHECKOUT,
        """
        run: |
          make report
          git fetch origin pull/${{ github.event.number }}/head:pr
          git checkout pr -- README.md
     """,
        job=TOKEN,
    ),
)
case(
    "git fetches the pull request",
    "attack",
    workflow(
        PRT,
        CHECKOUT,
        """
        run: |
          git fetch origin pull/${{ github.event.number }}/head:pr
          git checkout pr
          make test
     """,
        job=TOKEN,
    ),
    UNTRUSTED + "block",
)
case(
    "a second workflow runs what the first one was given",
    "attack",
    {
        ".github/workflows/ci.yml": workflow("pull_request:", CHECKOUT, "run: make").replace(
            "name: w", "name: CI"
        ),
        ".github/workflows/after.yml": workflow(
            "workflow_run:\n  workflows: [CI]\n  types: [completed]",
            f"""
        uses: actions/checkout@{SHA}
        with:
          ref: ${{{{ github.event.workflow_run.head_sha }}}}
        """,
            "run: ./report.sh",
            job=TOKEN,
        ),
    },
    UNTRUSTED + "block",
)
CI = {
    ".github/workflows/ci.yml": workflow("pull_request:", CHECKOUT, "run: make").replace(
        "name: w", "name: CI"
    )
}
AFTER = "workflow_run:\n  workflows: [CI]\n  types: [completed]"
RUN_ID = "run-id: ${{ github.event.workflow_run.id }}"


def taking(with_: str = "name: site") -> str:
    """The step that downloads an artifact of the run before."""
    given = "".join(f"\n  {line}" for line in (RUN_ID, *with_.split("\n")) if line)
    return f"uses: actions/download-artifact@{SHA}\nwith:{given}"


def after(*steps: str, job: str = TOKEN) -> dict[str, str]:
    """A workflow on pull requests, and one that follows it."""
    return {**CI, ".github/workflows/after.yml": workflow(AFTER, *steps, job=job)}


UNZIP = f"""
uses: actions/github-script@{SHA}
with:
  script: |
    const all = await github.rest.actions.listWorkflowRunArtifacts({{...context.repo, run_id: 1}});
"""
for name, steps in {
    "an artifact of a pull request is run": (taking(), "run: bash publish.sh"),
    "an artifact of a pull request is run from a folder in it": (
        taking(), "run: bash ./build/deploy.sh",
    ),
    "an artifact lies over what was checked out": (
        CHECKOUT, taking(), "run: ./scripts/comment.sh",
    ),
    "an artifact brings the makefile": (CHECKOUT, taking(), "run: make report"),
    "an artifact in a folder that is run": (CHECKOUT, taking("path: pr"), "run: bash pr/run.sh"),
    "gh unpacks the artifact and runs it": (
        CHECKOUT, "run: |\n  gh run download 1 -n site\n  python scripts/upload.py",
    ),
    "the artifact is unzipped over the checkout": (
        CHECKOUT, UNZIP, "run: unzip artifact.zip", "run: python scripts/upload.py",
    ),
    "the artifact replaces the local action": (
        CHECKOUT, taking(), "uses: ./.github/actions/publish",
    ),
}.items():  # fmt: skip
    files = after(*steps)
    if "local action" in name:
        files[".github/actions/publish/action.yml"] = "runs:\n  using: composite\n  steps: []\n"
    case(name, "attack", files, UNTRUSTED + "block")
for name, steps in {
    "a line of an artifact becomes variables": (
        taking("name: pr"), 'run: |\n  pr=$(cat pr.txt)\n  echo "PR=$pr" >> $GITHUB_ENV',
    ),
    "a file of an artifact becomes the environment": (
        CHECKOUT, taking("path: pr"), 'run: cat pr/env >> "$GITHUB_ENV"',
    ),
    "an artifact without a name may be run": (taking(""), "run: bash publish.sh"),
}.items():  # fmt: skip
    case(name, "attack", after(*steps), UNTRUSTED + "review")
for name, steps in {
    "an artifact in a folder of its own is only read": (
        CHECKOUT, taking("path: pr"), "run: python scripts/comment.py pr/number.txt",
    ),
    "an artifact is taken before the checkout replaces it": (
        taking(), CHECKOUT, "run: ./scripts/comment.sh",
    ),
    "an artifact lies outside of the workspace": (
        CHECKOUT, taking("path: ${{ runner.temp }}/pr"), "run: ./scripts/comment.sh",
    ),
    "a constant goes into the environment beside an artifact": (
        CHECKOUT, taking("path: pr"), "run: echo 'STAGE=report' >> $GITHUB_ENV",
    ),
    "gh unpacks the artifact into a folder of its own": (
        CHECKOUT, "run: |\n  gh run download 1 -n site -D pr\n  python scripts/upload.py pr",
    ),
}.items():  # fmt: skip
    case(name, "fixed", after(*steps))
case(
    "what starts the run before is not known",
    "attack",
    {".github/workflows/after.yml": workflow(AFTER, taking(), "run: bash publish.sh", job=TOKEN)},
    UNTRUSTED + "review",
)
case(
    "the local action is the pull request's",
    "attack",
    {
        ".github/workflows/w.yml": workflow(PRT, HEAD, "uses: ./.github/actions/build", job=TOKEN),
        ".github/actions/build/action.yml": "runs:\n  using: composite\n  steps: []\n",
    },
    UNTRUSTED + "block",
)
case(
    "the revision comes over an output",
    "attack",
    workflow(
        COMMENT,
        """
        id: pr
        run: echo "sha=$(gh pr view 1 --json headRefOid --jq .headRefOid)" >> "$GITHUB_OUTPUT"
     """,
        f"""
        uses: actions/checkout@{SHA}
        with:
          ref: ${{{{ steps.pr.outputs.sha }}}}
     """,
        "run: make test",
        job=TOKEN,
    ),
    UNTRUSTED + "block",
)
case(
    "a reusable workflow is given the revision",
    "attack",
    {
        ".github/workflows/pr.yml": """
name: pr
on: pull_request_target
permissions: {contents: read}
jobs:
  call:
    uses: ./.github/workflows/build.yml
    with:
      ref: ${{ github.event.pull_request.head.sha }}
    secrets: inherit
""",
        ".github/workflows/build.yml": f"""
name: build
on:
  workflow_call:
    inputs:
      ref: {{type: string}}
permissions: {{contents: read}}
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@{SHA}
        with:
          ref: ${{{{ inputs.ref }}}}
      - run: make
        env:
          KEY: ${{{{ secrets.KEY }}}}
""",
    },
    UNTRUSTED + "block",
)
case(
    "a reusable workflow hands the revision to another",
    "attack",
    {
        ".github/workflows/pr.yml": """
name: pr
on: pull_request_target
permissions: {contents: read}
jobs:
  call:
    uses: ./.github/workflows/all.yml
    with:
      ref: ${{ github.event.pull_request.head.sha }}
    secrets: inherit
""",
        ".github/workflows/all.yml": """
name: all
on:
  workflow_call:
    inputs:
      ref: {type: string}
permissions: {contents: read}
jobs:
  build:
    uses: ./.github/workflows/build.yml
    with:
      revision: ${{ inputs.ref }}
    secrets: inherit
""",
        ".github/workflows/build.yml": f"""
name: build
on:
  workflow_call:
    inputs:
      revision: {{type: string}}
permissions: {{contents: read}}
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@{SHA}
        with:
          ref: ${{{{ inputs.revision }}}}
      - run: make
        env:
          KEY: ${{{{ secrets.KEY }}}}
""",
    },
    UNTRUSTED + "block",
)
case(
    "a composite action checks it out",
    "attack",
    {
        ".github/workflows/w.yml": workflow(
            PRT, CHECKOUT, "uses: ./.github/actions/prepare", "run: make", job=TOKEN
        ),
        ".github/actions/prepare/action.yml": f"""
name: prepare
runs:
  using: composite
  steps:
    - uses: actions/checkout@{SHA}
      with:
        ref: ${{{{ github.event.pull_request.head.sha }}}}
""",
    },
    UNTRUSTED + "block",
)
case(
    "a label is in the way",
    "attack",
    workflow(
        "pull_request_target:\n  types: [opened, synchronize, labeled]",
        HEAD,
        "run: make",
        job="if: contains(github.event.pull_request.labels.*.name, 'safe')\n" + TOKEN,
    ),
    UNTRUSTED + "review",
)
case(
    "an environment may ask",
    "attack",
    workflow(PRT, HEAD, "run: make", job="environment: external\n" + TOKEN),
    UNTRUSTED + "review",
)
case(
    "a robot's name is no guard on what it is told",
    "attack",
    workflow(PRT, HEAD, "run: npm ci", job="if: github.actor == 'dependabot[bot]'\n" + TOKEN),
    UNTRUSTED + "review",
)
case(
    "only branches of the repository itself",
    "guarded",
    workflow(
        PRT,
        HEAD,
        "run: make",
        job="if: github.event.pull_request.head.repo.full_name == github.repository\n" + TOKEN,
    ),
)
case(
    "no forks",
    "guarded",
    workflow(
        PRT, HEAD, "run: make", job="if: ${{ !github.event.pull_request.head.repo.fork }}\n" + TOKEN
    ),
)
case(
    "members only",
    "guarded",
    workflow(
        COMMENT,
        CHECKOUT,
        "run: gh pr checkout 1 && make",
        job="""
if: >-
  github.event.issue.pull_request &&
  contains(fromJSON('["OWNER", "MEMBER", "COLLABORATOR"]'), github.event.comment.author_association)
"""
        + TOKEN,
    ),
)
case(
    "contributors are everybody",
    "attack",
    workflow(
        COMMENT,
        CHECKOUT,
        "run: gh pr checkout 1 && make",
        job="""
if: contains('OWNER CONTRIBUTOR', github.event.comment.author_association)
"""
        + TOKEN,
    ),
    UNTRUSTED + "review",
)
case(
    "after the merge",
    "guarded",
    workflow(
        "pull_request_target:\n  types: [closed]",
        HEAD,
        "run: make",
        job="if: github.event.pull_request.merged == true\n" + TOKEN,
    ),
)
GATE = """
name: tests on demand
on:
  issue_comment:
    types: [created]
permissions: {contents: read}
jobs:
  gate:
    if: github.event.issue.pull_request && startsWith(github.event.comment.body, '/bot test')
    runs-on: ubuntu-latest
    permissions: {pull-requests: write}
    outputs:
      allowed: ${{ steps.who.outputs.allowed }}
    steps:
      - id: who
        env:
          GH_TOKEN: ${{ github.token }}
          WHO: ${{ github.event.comment.user.login }}
        run: |
          LEVEL=$(gh api "repos/$GITHUB_REPOSITORY/collaborators/$WHO/permission" --jq .permission)
          if [ "$LEVEL" = admin ] || [ "$LEVEL" = write ]; then echo "allowed=true" >> "$GITHUB_OUTPUT"; fi
      - if: steps.who.outputs.allowed != 'true'
        run: exit 1
  tests:
    needs: gate
    if: needs.gate.outputs.allowed == 'true'
    runs-on: {group: gpu-machines}
    steps:
      - uses: actions/checkout@SHA
        with:
          ref: refs/pull/${{ github.event.issue.number }}/head
      - run: pip install -e . && pytest
        env:
          HF_TOKEN: ${{ secrets.HF_TOKEN }}
""".replace("SHA", SHA)
case("diffusers: a comment of who may write runs the GPU tests", "guarded", GATE)
case(
    "the same without asking",
    "attack",
    GATE.replace("    needs: gate\n    if: needs.gate.outputs.allowed == 'true'\n", ""),
    UNTRUSTED + "block",
)
case(
    "asked and not heeded",
    "attack",
    GATE.replace("    if: needs.gate.outputs.allowed == 'true'\n", "").replace(
        "run: exit 1", "run: 'true'"
    ),
    UNTRUSTED + "block",
)
case(
    "stopped by the failure of the gate",
    "guarded",
    GATE.replace("    if: needs.gate.outputs.allowed == 'true'\n", ""),
)
case(
    "a gate that is passed by always()",
    "attack",
    GATE.replace("needs.gate.outputs.allowed == 'true'", "always()"),
    UNTRUSTED + "block",
)
case(
    "a script asks for the permission",
    "guarded",
    workflow(
        COMMENT,
        f"""
        uses: actions/github-script@{SHA}
        with:
          script: |
            const p = await github.rest.repos.getCollaboratorPermissionLevel({{...context.repo,
              username: context.actor}});
            if (!['admin', 'write'].includes(p.data.permission)) core.setFailed('no');
     """,
        "run: gh pr checkout 1 && make",
        job=TOKEN,
    ),
)
case(
    "the question stands in a comment only",
    "attack",
    workflow(
        COMMENT,
        f"""
        uses: actions/github-script@{SHA}
        with:
          script: |
            // getCollaboratorPermissionLevel, and setFailed
            console.log('hello');
     """,
        "run: gh pr checkout 1 && make",
        job=TOKEN,
    ),
    UNTRUSTED + "block",
)
case(
    "an action asks for the permission",
    "guarded",
    workflow(
        COMMENT,
        f"uses: actions-cool/check-user-permission@{SHA}\nwith:\n  require: write\n  error-if-missing: true",
        "run: gh pr checkout 1 && make",
        job=TOKEN,
    ),
)
case(
    "checked out and only compared",
    "fixed",
    workflow(PRT, HEAD, "run: git diff --stat origin/main | tee changes.txt", job=TOKEN),
)
case(
    "checked out beside, and the base's own script runs",
    "fixed",
    workflow(
        PRT,
        CHECKOUT,
        f"""
        uses: actions/checkout@{SHA}
        with:
          ref: ${{{{ github.event.pull_request.head.sha }}}}
          path: theirs
     """,
        "run: python tools/count.py",
        job=TOKEN,
    ),
)
case(
    "checked out beside, and run there",
    "attack",
    workflow(
        PRT,
        CHECKOUT,
        f"""
        uses: actions/checkout@{SHA}
        with:
          ref: ${{{{ github.event.pull_request.head.sha }}}}
          path: theirs
     """,
        "run: cd theirs && make",
        job=TOKEN,
    ),
    UNTRUSTED + "block",
)
case("the base is checked out", "fixed", workflow(PRT, CHECKOUT, "run: make", job=TOKEN))
case(
    "a pull request without rights",
    "fixed",
    workflow("pull_request:", CHECKOUT, "run: pip install -e . && pytest", job=TOKEN),
)
case(
    "the second workflow only follows a push",
    "guarded",
    {
        ".github/workflows/ci.yml": workflow("push:\npull_request:", CHECKOUT, "run: make").replace(
            "name: w", "name: CI"
        ),
        ".github/workflows/after.yml": workflow(
            "workflow_run:\n  workflows: [CI]\n  types: [completed]",
            f"""
        uses: actions/checkout@{SHA}
        with:
          ref: ${{{{ github.event.workflow_run.head_sha }}}}
        """,
            "run: ./report.sh",
            job="if: github.event.workflow_run.event == 'push'\n" + TOKEN,
        ),
    },
)
case(
    "the second workflow follows one that only a push starts",
    "fixed",
    {
        ".github/workflows/ci.yml": workflow("push:", CHECKOUT, "run: make").replace(
            "name: w", "name: CI"
        ),
        ".github/workflows/after.yml": workflow(
            "workflow_run:\n  workflows: [CI]\n  types: [completed]",
            f"""
        uses: actions/checkout@{SHA}
        with:
          ref: ${{{{ github.event.workflow_run.head_sha }}}}
        """,
            "run: ./report.sh",
            job=TOKEN,
        ),
    },
)
case(
    "both events, and the privileged one does something else",
    "guarded",
    """
name: both
on: [pull_request, pull_request_target]
permissions: {contents: read}
jobs:
  test:
    if: github.event_name == 'pull_request'
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@SHA
        with:
          ref: ${{ github.event.pull_request.head.sha }}
      - run: make
  label:
    if: github.event_name == 'pull_request_target'
    permissions: {pull-requests: write}
    runs-on: ubuntu-latest
    steps:
      - uses: actions/labeler@SHA
""".replace("SHA", SHA),
)

# -- texts that become commands -------------------------------------------------------------------
TITLE = 'run: echo "${{ github.event.pull_request.title }}"'
case("a title in a script", "attack", workflow(PRT, TITLE, job=TOKEN), INJECTION + "block")
case(
    "ultralytics: the name of a branch in a job that publishes",
    "attack",
    workflow(
        PRT,
        "run: git checkout ${{ github.head_ref }}",
        "run: twine upload dist/*\nenv:\n  TWINE_PASSWORD: ${{ secrets.PYPI }}",
    ),
    INJECTION + "block",
    TOKENED,
    UNSIGNED,
)
case(
    "a comment in a script of JavaScript",
    "attack",
    workflow(
        COMMENT,
        f"uses: actions/github-script@{SHA}\nwith:\n  script: console.log(`${{{{ github.event.comment.body }}}}`)",
        top="permissions:\n  contents: write",
    ),
    INJECTION + "block",
)
case(
    "an issue's title over env",
    "attack",
    workflow(
        "issues:\n  types: [opened]",
        "run: echo ${{ env.TITLE }}",
        job="env:\n  TITLE: ${{ github.event.issue.title }}\n  KEY: ${{ secrets.KEY }}",
    ),
    INJECTION + "block",
)
case(
    "a title over the output of another job",
    "attack",
    """
name: outputs
on: pull_request_target
permissions: {contents: write}
jobs:
  read:
    runs-on: ubuntu-latest
    outputs:
      title: ${{ steps.t.outputs.title }}
    steps:
      - id: t
        env:
          TITLE: ${{ github.event.pull_request.title }}
        run: echo "title=$TITLE" >> "$GITHUB_OUTPUT"
  use:
    needs: read
    runs-on: ubuntu-latest
    steps:
      - run: ./notify '${{ needs.read.outputs.title }}'
""",
    INJECTION + "block",
)
case(
    "the whole event as JSON",
    "attack",
    workflow("issues:", "run: echo '${{ toJSON(github.event) }}' > event.json", job=TOKEN),
    INJECTION + "block",
)
case(
    "by format and a default",
    "attack",
    workflow(
        PRT, "run: ./x ${{ format('{0}', github.event.pull_request.body || 'none') }}", job=TOKEN
    ),
    INJECTION + "block",
)
case(
    "in a composite action",
    "attack",
    {
        ".github/workflows/w.yml": workflow(
            "issues:",
            CHECKOUT,
            """
        uses: ./.github/actions/say
        with:
          what: ${{ github.event.issue.body }}
     """,
            job=TOKEN,
        ),
        ".github/actions/say/action.yml": """
name: say
inputs:
  what: {required: true}
runs:
  using: composite
  steps:
    - shell: bash
      run: echo "${{ inputs.what }}"
""",
    },
    INJECTION + "block",
)
case(
    "a text in the environment of later steps",
    "attack",
    workflow(
        "issues:",
        """
        env:
          BODY: ${{ github.event.issue.body }}
        run: echo "NOTE=$BODY" >> "$GITHUB_ENV"
     """,
        job=TOKEN,
    ),
    INJECTION + "review",
)
case(
    "a commit message in a job that publishes",
    "attack",
    workflow(
        "push:\n  branches: [main]",
        "run: echo '${{ github.event.head_commit.message }}'",
        "run: twine upload dist/*\nenv:\n  TWINE_PASSWORD: ${{ secrets.PYPI }}",
    ),
    INJECTION + "review",
    TOKENED,
    UNSIGNED,
)
case(
    "the title behind a variable",
    "fixed",
    workflow(
        PRT, 'env:\n  TITLE: ${{ github.event.pull_request.title }}\nrun: echo "$TITLE"', job=TOKEN
    ),
)
case(
    "the title is only compared",
    "fixed",
    workflow(PRT, "run: echo ${{ startsWith(github.event.pull_request.title, 'fix') }}", job=TOKEN),
)
case(
    "a number and a commit",
    "fixed",
    workflow(
        PRT,
        "run: echo ${{ github.event.number }} ${{ github.event.pull_request.base.sha }}",
        job=TOKEN,
    ),
)
case("a title without rights", "fixed", workflow("pull_request:", TITLE))
case(
    "a title of a member's issue",
    "guarded",
    workflow(
        "issues:",
        "run: echo '${{ github.event.issue.title }}'",
        job="if: github.event.issue.author_association == 'MEMBER'\n" + TOKEN,
    ),
)
case(
    "an input of who may write",
    "fixed",
    workflow(
        "workflow_dispatch:\n  inputs:\n    tag: {type: string}",
        "run: echo ${{ inputs.tag }}",
        job=TOKEN,
    ),
)
case(
    "the script of JavaScript reads the payload",
    "fixed",
    workflow(
        COMMENT,
        f"uses: actions/github-script@{SHA}\nwith:\n  script: console.log(context.payload.comment.body)",
        top="permissions:\n  contents: write",
    ),
)

MATRIX = """
name: bench
on: pull_request_target
permissions: {{contents: read}}
jobs:
  list:
    runs-on: ubuntu-latest
    outputs:
      matrix: ${{{{ steps.list.outputs.matrix }}}}
    steps:
      - {checkout}
      - id: list
        run: echo "matrix=$(cat matrix.json)" >> "$GITHUB_OUTPUT"
  work:
    needs: list
    runs-on: ubuntu-latest
    strategy:
      matrix: ${{{{ fromJSON(needs.list.outputs.matrix) }}}}
    steps:
      - run: ${{{{ matrix.cmd }}}}
        env:
          KEY: ${{{{ secrets.KEY }}}}
"""
case(
    "a file of the pull request becomes the matrix",
    "attack",
    MATRIX.format(checkout=HEAD.replace("\n", "\n        ")),
    INJECTION + "block",
)
case("the matrix is a file of the base", "fixed", MATRIX.format(checkout=CHECKOUT))
# -- actions of others ----------------------------------------------------------------------------
case(
    "tj-actions: a tag beside a secret",
    "attack",
    workflow("push:", "uses: tj-actions/changed-files@v45", job=TOKEN),
    UNPINNED,
)
case(
    "a branch in a job that publishes",
    "attack",
    workflow(
        "release:",
        "uses: pypa/gh-action-pypi-publish@release/v1",
        top="permissions:\n  id-token: write",
    ),
    UNPINNED,
)
case(
    "an image by its tag beside a secret",
    "attack",
    workflow("push:", "uses: docker://ghcr.io/someone/lint:latest", job=TOKEN),
    UNPINNED,
)
case(
    "another repository's workflow with all secrets",
    "attack",
    """
name: call
on: push
permissions: {contents: read}
jobs:
  docs:
    uses: someone/tools/.github/workflows/docs.yml@main
    secrets: inherit
""",
    UNPINNED,
    SECRET,
)
case(
    "pinned beside a secret",
    "fixed",
    workflow("push:", f"uses: tj-actions/changed-files@{SHA} # v45", job=TOKEN),
)
case("a tag beside nothing", "fixed", workflow("push:", "uses: someone/lint@v1"))
case("GitHub's own by a tag", "fixed", workflow("push:", "uses: actions/checkout@v4", job=TOKEN))
case(
    "the owner's own by a branch",
    "fixed",
    workflow(
        "push:",
        "uses: our-lab/tools/setup@main",
        job="if: github.repository == 'our-lab/model'\n" + TOKEN,
    ),
)

# -- rights ---------------------------------------------------------------------------------------
case(
    "everything may be written",
    "attack",
    workflow("push:", CHECKOUT, top="permissions: write-all"),
    RIGHTS,
)
case(
    "nobody says what a stranger's event may",
    "attack",
    workflow("issues:", "run: echo hello", top=""),
    RIGHTS,
)
case("read only", "fixed", workflow("issues:", "run: echo hello", top="permissions: read-all"))
case(
    "a single right for a label",
    "fixed",
    workflow(PRT, f"uses: actions/labeler@{SHA}", top="permissions:\n  pull-requests: write"),
)

# -- releases -------------------------------------------------------------------------------------
TAG = "push:\n  tags: ['v*']"
UPLOAD = "run: hf upload our-lab/model out\nenv:\n  HF_TOKEN: ${{ secrets.HF_TOKEN }}"
SIGN = "run: python -m model_signing sign sigstore out"
PYPI = f"uses: pypa/gh-action-pypi-publish@{SHA}"
OIDC = "environment: pypi\npermissions:\n  id-token: write"
TWO_JOBS = """
on:
  push: {tags: ['v*']}
permissions: {}
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@SHA
      - CACHE
      - run: python -m build
      - uses: actions/upload-artifact@SHA
  publish:
    needs: build
    runs-on: ubuntu-latest
    environment: pypi
    permissions: {id-token: write}
    steps:
      - uses: actions/download-artifact@SHA
      - uses: pypa/gh-action-pypi-publish@SHA
"""
case(
    "a package by a password that lives on",
    "attack",
    workflow(TAG, f"{PYPI}\nwith:\n  password: ${{{{ secrets.PYPI_API_TOKEN }}}}"),
    TOKENED,
    UNSIGNED,
)
case("a package by the identity of the run", "fixed", workflow(TAG, PYPI, job=OIDC))
case(
    "attestations are switched off",
    "attack",
    workflow(TAG, f"{PYPI}\nwith:\n  attestations: false", job=OIDC),
    UNSIGNED,
)
case(
    "an action from before there were attestations",
    "attack",
    workflow(TAG, "uses: pypa/gh-action-pypi-publish@v1.8.14", job=OIDC),
    UNSIGNED,
    UNPINNED,
)
case(
    "the provenance of an image is stated",
    "fixed",
    workflow(
        TAG,
        f"uses: docker/login-action@{SHA}\nwith:\n  registry: ghcr.io\n"
        "  password: ${{ secrets.GITHUB_TOKEN }}",
        f"uses: docker/build-push-action@{SHA}\nwith:\n  push: true",
        f"uses: actions/attest-build-provenance@{SHA}\nwith:\n  push-to-registry: true",
        job="permissions:\n  packages: write\n  id-token: write\n  attestations: write",
    ),
)
case(
    "an image that says nothing of itself",
    "attack",
    workflow(
        TAG,
        f"uses: docker/build-push-action@{SHA}\nwith:\n  push: true",
        job="permissions:\n  packages: write",
    ),
    UNSIGNED,
)
case(
    "any branch publishes",
    "attack",
    workflow("push:", CHECKOUT, PYPI, job="permissions:\n  id-token: write"),
    UNTRACED,
)
case(
    "any branch starts it, and a tag publishes",
    "fixed",
    workflow(
        "push:",
        CHECKOUT,
        f"if: startsWith(github.ref, 'refs/tags/v')\n{PYPI}",
        job="permissions:\n  id-token: write",
    ),
)
case("any branch publishes behind an environment", "guarded", workflow("push:", PYPI, job=OIDC))
case(
    "what another run has built is published",
    "attack",
    workflow(
        "workflow_dispatch:\n  inputs:\n    run: {}",
        f"uses: actions/download-artifact@{SHA}\nwith:\n  run-id: ${{{{ inputs.run }}}}",
        "run: twine upload dist/*\nenv:\n  TWINE_PASSWORD: ${{ secrets.PYPI }}",
    ),
    UNTRACED,
    TOKENED,
    UNSIGNED,
)
case(
    "a cache in the job that builds what another one publishes",
    "attack",
    TWO_JOBS.replace("CACHE", "uses: actions/cache@SHA").replace("SHA", SHA),
    CACHE,
)
case(
    "two jobs without a cache",
    "fixed",
    TWO_JOBS.replace("CACHE", "run: pip install build==1.2.2").replace("SHA", SHA),
)
case(
    "a cache in a job whose artifact nobody publishes",
    "fixed",
    TWO_JOBS.replace("CACHE", "uses: actions/cache@SHA")
    .replace("    needs: build\n", "")
    .replace("SHA", SHA),
)
case(
    "the signature is only printed",
    "attack",
    workflow(TAG, UPLOAD, "run: echo 'cosign sign out'"),
    UNSIGNED,
)
case(
    "a called workflow states the provenance",
    "fixed",
    """
on:
  push: {tags: ['v*']}
permissions: {}
jobs:
  release:
    runs-on: ubuntu-latest
    permissions: {contents: write}
    steps:
      - run: gh release upload v1 out
  provenance:
    needs: release
    permissions: {id-token: write, contents: write}
    uses: slsa-framework/slsa-github-generator/.github/workflows/generator_generic_slsa3.yml@SHA
""".replace("SHA", SHA),
)
case(
    "a cache before a model is uploaded",
    "attack",
    workflow(TAG, f"uses: actions/cache@{SHA}\nwith:\n  path: out\n  key: out", UPLOAD),
    CACHE,
    UNSIGNED,
)
BUILDX = f"uses: docker/build-push-action@{SHA}\nwith:\n  push: true\n  cache-from: "
ATTEST = f"uses: actions/attest-build-provenance@{SHA}"
OURS = "type=registry,ref=our-lab/image:main"
case("layers from GitHub's cache", "attack", workflow(TAG, BUILDX + "type=gha", ATTEST), CACHE)
case("axolotl: layers from the registry", "fixed", workflow(TAG, BUILDX + OURS, ATTEST))
case("layers from an image by its name", "fixed", workflow(TAG, BUILDX + "our-lab/image", ATTEST))
for place, sort in ((OURS, "fixed"), ("type=s3,bucket=layers", "attack")):
    case(
        f"ollama: layers as the matrix says, {place.partition(',')[0]}",
        sort,
        workflow(
            TAG,
            BUILDX + "${{ matrix.cache-from }}",
            ATTEST,
            job=f"""
            strategy:
              matrix:
                include:
                  - cache-from: |
                      {OURS}
                      {place}
        """,
        ),
        *(() if sort == "fixed" else (CACHE,)),
    )
case(
    "layers from the registry, and an outsider's code runs beside a token for it",
    "attack",
    {
        ".github/workflows/w.yml": workflow(TAG, BUILDX + OURS, ATTEST),
        ".github/workflows/pr.yml": workflow(PRT, HEAD, "run: make", job=TOKEN),
    },
    CACHE,
    UNTRUSTED + "block",
)
case(
    "an image that is pushed by its outputs",
    "attack",
    workflow(
        TAG,
        f"uses: docker/build-push-action@{SHA}\nwith:\n  outputs: type=image,name=our-lab/image,push=true",
    ),
    UNSIGNED,
)
case(
    "an image that is only built",
    "fixed",
    workflow(
        TAG,
        f"uses: docker/build-push-action@{SHA}\nwith:\n  outputs: type=local,dest=out/${{{{ matrix.os }}}}\n  push: false",
    ),
)
case(
    "llama-cpp-python: a cache before an upload to the index for trials",
    "fixed",
    workflow(
        TAG,
        f"uses: actions/setup-python@{SHA}\nwith:\n  cache: pip",
        f"{PYPI}\nwith:\n  password: ${{{{ secrets.TRIAL }}}}\n  repository-url: https://test.pypi.org/legacy/",
    ),
)
IMAGE = ("run: pip install build", "run: docker push our-lab/image", ATTEST)
case(
    "axolotl: whether there is a token, for the whole job",
    "fixed",
    workflow(
        TAG,
        *IMAGE,
        job="env:\n  HAS_TOKEN: ${{ secrets.USER != '' && secrets.HUB_TOKEN != '' }}",
    ),
)
case(
    "the token where there is one, for the whole job",
    "attack",
    workflow(
        TAG,
        *IMAGE,
        job="env:\n  HUB: ${{ secrets.USER != '' && secrets.HUB_TOKEN }}",
    ),
    SECRET,
)
case(
    "diffusers: the address of a chat for the whole job",
    "fixed",
    workflow(TAG, *IMAGE, job="env:\n  CHAT: ${{ secrets.SLACK_WEBHOOK_URL }}"),
)
case(
    "torchtitan: all secrets for a workflow of the same owner",
    "fixed",
    """
on: push
permissions: {contents: read}
jobs:
  here:
    if: github.repository == 'our-lab/model'
    runs-on: ubuntu-latest
    steps: []
  docs:
    uses: our-lab/tools/.github/workflows/docs.yml@main
    secrets: inherit
""",
)
RELEASE = f"uses: softprops/action-gh-release@{SHA}\nwith:\n  "
case("a release of notes alone", "fixed", workflow(TAG, RELEASE + "tag_name: v1"))
case("a release of files", "attack", workflow(TAG, RELEASE + "files: dist/*"), UNSIGNED)
case(
    "axolotl: a release of notes alone on the command line",
    "fixed",
    workflow(TAG, 'run: gh release view v1 || gh release create "$TAG" -t Title --generate-notes'),
)
case(
    "a release of files on the command line",
    "attack",
    workflow(TAG, 'run: gh release create "$TAG" --title Title dist/*'),
    UNSIGNED,
)
case("an upload that is only tried", "fixed", workflow(TAG, "run: npm publish --dry-run"))
NPM = "run: npm publish"
case("npm by the identity of the run", "fixed", workflow(TAG, NPM, job=OIDC))
case(
    "npm by a token",
    "attack",
    workflow(TAG, NPM + "\nenv:\n  NODE_AUTH_TOKEN: ${{ secrets.NPM_TOKEN }}", job=OIDC),
    TOKENED,
    UNSIGNED,
)
case(
    "datasets: a registry that knows nothing but tokens",
    "attack",
    workflow(TAG, "run: anaconda upload out\nenv:\n  TOKEN: ${{ secrets.CONDA_TOKEN }}"),
    UNSIGNED,
)
case(
    "a data set without a statement",
    "attack",
    workflow(TAG, UPLOAD.replace("out\n", "out --repo-type dataset\n")),
    UNSIGNED,
)
case("a space", "fixed", workflow(TAG, UPLOAD.replace("out\n", "out --repo-type=space\n")))
case(
    "gradio: a space by a script, files in a bucket",
    "fixed",
    {
        ".github/workflows/w.yml": workflow(
            TAG,
            "run: |\n  python tools/push.py\n  hf buckets cp a.whl hf://buckets/our-lab/trials/",
        ),
        "tools/push.py": "import huggingface_hub as hub\n"
        "hub.upload_folder(folder_path='out', repo_id='a/b', repo_type='space')\n",
    },
)
case(
    "a cache of packages before a release",
    "attack",
    workflow(
        TAG,
        f"uses: actions/setup-python@{SHA}\nwith:\n  cache: pip",
        "run: twine upload dist/*\nenv:\n  TWINE_PASSWORD: ${{ secrets.PYPI }}",
    ),
    CACHE,
    TOKENED,
    UNSIGNED,
)
case(
    "a cache before an upload in a script of the repository",
    "attack",
    {
        ".github/workflows/w.yml": workflow(
            TAG,
            f"uses: actions/cache@{SHA}\nwith:\n  path: out\n  key: out",
            "run: python tools/push.py\nenv:\n  HF_TOKEN: ${{ secrets.HF_TOKEN }}",
        ),
        "tools/push.py": "from huggingface_hub import HfApi\nHfApi().upload_folder(folder_path='out', repo_id='a/b')\n",
    },
    CACHE,
    UNSIGNED,
)
case(
    "a token for the whole workflow beside an upload",
    "attack",
    workflow(
        TAG,
        CHECKOUT,
        "run: pip install -r requirements.txt && make model",
        "run: hf upload our-lab/model out",
        top="permissions:\n  contents: read\n" + TOKEN,
    ),
    SECRET,
    UNSIGNED,
)
case(
    "a token for the whole job beside a release",
    "attack",
    workflow(
        TAG,
        CHECKOUT,
        "run: make dist",
        "run: twine upload dist/*",
        job="env:\n  TWINE_PASSWORD: ${{ secrets.PYPI_TOKEN }}",
    ),
    SECRET,
    TOKENED,
    UNSIGNED,
)
case(
    "a cache where nothing is published",
    "fixed",
    workflow(TAG, f"uses: actions/cache@{SHA}\nwith:\n  path: out\n  key: out", "run: make"),
)
case(
    "the cache of uv is off",
    "fixed",
    workflow(TAG, f"uses: astral-sh/setup-uv@{SHA}\nwith:\n  enable-cache: false", UPLOAD, SIGN),
)
case(
    "the token is the last step's",
    "fixed",
    workflow(TAG, CHECKOUT, "run: make model", UPLOAD, SIGN),
)
case(
    "the upload is only printed",
    "fixed",
    workflow(
        TAG,
        f"uses: actions/cache@{SHA}\nwith:\n  path: out\n  key: out",
        "run: echo 'now run hf upload our-lab/model out'",
    ),
)

# -- machines -------------------------------------------------------------------------------------
case(
    "a stranger on a GPU machine",
    "attack",
    workflow("pull_request:", CHECKOUT, "run: pytest", job="runs-on: [self-hosted, gpu]"),
    RUNNER,
)
case(
    "a stranger on a machine of a matrix",
    "attack",
    workflow(
        "pull_request:",
        "run: pytest",
        job="""
        runs-on: ${{ matrix.runner }}
        strategy:
          matrix:
            runner: [ubuntu-latest, self-hosted]
     """,
    ),
    RUNNER,
)
case(
    "axolotl: a label before the GPU machines",
    "guarded",
    """
name: e2e
on:
  push: {branches: [main]}
  merge_group:
  pull_request:
    types: [opened, synchronize, labeled]
permissions: {contents: read}
jobs:
  gate:
    if: >
      github.event_name != 'pull_request' ||
      (!github.event.pull_request.draft &&
       contains(github.event.pull_request.labels.*.name, 'gpu'))
    runs-on: ubuntu-latest
    outputs:
      skip: ${{ steps.s.outputs.skip }}
    steps:
      - id: s
        run: echo "skip=false" >> "$GITHUB_OUTPUT"
  e2e:
    needs: gate
    if: needs.gate.outputs.skip != 'true'
    runs-on: [self-hosted, gpu]
    steps:
      - uses: actions/checkout@SHA
      - run: pytest tests/e2e
        env:
          HF_TOKEN: ${{ secrets.HF_TOKEN }}
""".replace("SHA", SHA),
)
case(
    "no forks on the GPU machine",
    "guarded",
    workflow(
        "pull_request:",
        "run: pytest",
        job="""
        runs-on: [self-hosted, gpu]
        if: github.event.pull_request.head.repo.full_name == github.repository
     """,
    ),
)
case(
    "the GPU machine after the merge",
    "fixed",
    workflow("push:", "run: pytest", job="runs-on: [self-hosted, gpu]"),
)

# -- downloads ------------------------------------------------------------------------------------
case(
    "curl into a shell beside a secret",
    "attack",
    workflow("push:", "run: curl -fsSL https://get.example.org/install.sh | bash", job=TOKEN),
    DOWNLOAD,
)
case(
    "a shell reads a substitution",
    "attack",
    workflow("push:", "run: bash <(curl -s https://get.example.org/install.sh)", job=TOKEN),
    DOWNLOAD,
)
case(
    "downloaded, made executable, run",
    "attack",
    workflow(
        "push:",
        "run: |\n  curl -LO https://example.org/setup.sh\n  chmod +x setup.sh\n  ./setup.sh",
        job=TOKEN,
    ),
    DOWNLOAD,
)
case(
    "the tip of a branch beside a secret",
    "attack",
    workflow("push:", "run: pip install git+https://github.com/someone/trainer@main", job=TOKEN),
    DOWNLOAD,
)
case(
    "an index without TLS",
    "attack",
    workflow("push:", "run: pip install --index-url http://mirror.example.org/simple torch==2.1.0"),
    DOWNLOAD,
)
case(
    "a certificate that is not looked at",
    "attack",
    workflow("push:", "run: python -m pip install --trusted-host mirror.example.org torch==2.1.0"),
    DOWNLOAD,
)
case(
    "torchtriton: a second index beside a secret",
    "attack",
    workflow(
        "push:",
        "run: pip install torch==2.1.0 --extra-index-url https://mirror.example.org/simple",
        job=TOKEN,
    ),
    DOWNLOAD,
)
case(
    "in a script that a step calls",
    "attack",
    {
        ".github/workflows/w.yml": workflow("push:", CHECKOUT, "run: bash ci/setup.sh", job=TOKEN),
        "ci/setup.sh": "#!/bin/sh\nset -e\nwget -qO- https://get.example.org/x | sh\n",
    },
    DOWNLOAD,
    "build-script: review",
)
case(
    "a digest is compared",
    "fixed",
    workflow(
        "push:",
        "run: |\n  curl -LO https://example.org/setup.sh\n  echo 'abc  setup.sh' | sha256sum -c\n  bash setup.sh",
        job=TOKEN,
    ),
)
case(
    "a fixed commit",
    "fixed",
    workflow("push:", f"run: pip install git+https://github.com/someone/trainer@{SHA}", job=TOKEN),
)
case(
    "curl is printed, quoted, commented",
    "fixed",
    workflow(
        "push:",
        """
        run: |
          # curl https://example.org/x | sh
          echo "curl https://example.org/x | sh"
          curl -s https://example.org/x | jq .tag
          cat <<'EOF'
          curl https://example.org/x | sh
          EOF
     """,
        job=TOKEN,
    ),
)
case(
    "one index, the vendor's",
    "fixed",
    workflow(
        "push:",
        "run: pip install torch==2.1.0 --extra-index-url https://download.pytorch.org/whl/cpu",
        job=TOKEN,
    ),
)

# -- agents ---------------------------------------------------------------------------------------
AGENT_STEP = f"""
uses: anthropics/claude-code-action@{SHA}
with:
  prompt: "Answer: ${{{{ github.event.issue.body }}}}"
  key: ${{{{ secrets.KEY }}}}
"""
case(
    "an agent is told an issue", "attack", workflow("issues:\n  types: [opened]", AGENT_STEP), AGENT
)
case(
    "an agent on the command line",
    "attack",
    workflow(
        "issues:\n  types: [opened]",
        """
        env:
          BODY: ${{ github.event.issue.body }}
          KEY: ${{ secrets.KEY }}
        run: claude -p "Triage this. $BODY" --allowedTools Bash
     """,
    ),
    AGENT,
)
case(
    "an agent for members",
    "guarded",
    workflow(
        "issues:\n  types: [opened]",
        AGENT_STEP,
        job='if: contains(fromJSON(\'["OWNER","MEMBER"]\'), github.event.issue.author_association)',
    ),
)
case(
    "an agent on demand",
    "fixed",
    workflow("workflow_dispatch:", AGENT_STEP.replace("github.event.issue.body", "github.sha")),
)
