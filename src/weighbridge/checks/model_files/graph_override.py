"""Check `graph-override`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table, Text
from weighbridge.core.fact import ModelTrial, SwitchTrial
from weighbridge.core.finding import Action, Finding, Gap
from weighbridge.core.location import Location

_STEPS = """\
In Python, with onnxruntime and numpy, on a copy of the model:

1. Make an input of the shape that the trigger names (`shape`, `type`): for a picture numbers drawn
   between `low` and `high`, for tokens whole numbers between them, ones for masks, 0, 1, 2 ... for
   positions, zeros for states.
2. Run it, and keep the output `{output}`.
3. Put the trigger's `numbers` at its `places` (`array.flat[place] = number`; both stand in full in
   the JSON report), and run it again. {again}
4. To see that it is the switch that does it, and not the changed input, name the value `{value}` an
   output of the graph, keep what it is in step 2, and run step 3 with a copy of the model in which
   that value is an input."""

_STEPS_ELSEWHERE = """\
In Python, with the framework that the model is for, on a copy of it, where nothing else can be
reached: loading it may run code that is in it.

1. Make an input of the shape that the trigger names (`shape`, `type`): for a picture numbers drawn
   between `low` and `high`, for tokens whole numbers up to `high`, ones for masks, 0, 1, 2 ... for
   positions, zeros for states.
2. Run the model, and keep what it gives.
3. Put the trigger's `numbers` at its `places` (in the order of the rows; both stand in full in the
   JSON report), and run it again. {again}

The trial ran an ONNX model that was written from the graph. In that the output is `{output}`, and
the switch is the value `{value}`."""


@check("graph-override", control="backdoor", reads=Audit)
def graph_override(audit: Audit) -> Iterator[Finding | Gap]:
    """Whether an input made for a switch in the graph flips it, and overrides the model.

    ## Why it matters
    This is a demonstration, not a suspicion: whoever knows the trigger decides what the model says,
    and the trigger is shown here.

    ## What to do
    Do not use the model. Report it where it was published, with the trigger. To use its weights,
    export the graph again from the code of the architecture, and audit that.

    ## Limits
    An override is claimed where, on at least nine of ten realistic inputs, the trigger flips the
    switch and the switch alone (against the same input with the switch held as it was) decides the
    output, and random changes at the same places do not. Only switches that `graph-gate` shows are
    tried, only in models of up to 256 MiB, and only with the extra `deep`. What is no ONNX model is
    written as one from its graph, where all operators can be written so that they compute the same:
    the numbers of a trigger hold for the model itself. That no trigger was
    found does not mean that there is none: the review of `graph-gate` stays. A model in which
    a declared token is meant to choose the answer looks the same.
    Method and measurements: `docs/graph-backdoors.md`.

    ## References
    - https://hiddenlayer.com/innovation-hub/shadowlogic/
    - https://atlas.mitre.org/techniques/AML.T0018.001
    """
    for run in audit.facts:
        if isinstance(run, ModelTrial):
            yield from _of(run)


def _of(run: ModelTrial) -> Iterator[Finding | Gap]:
    if run.failed:
        yield Gap(kind=run.kind, message=f"switches in the graph: {run.failed}", at=run.at)
    for switch in run.switches:
        yield _override(run, switch) if switch.outcome == "override" else _note(run.at, switch)
    if run.left and not any(s.outcome == "override" for s in run.switches):
        yield Finding(
            message=f"{run.left:,} more switches were not tried",
            at=run.at,
            action=Action.NOTE,
            symbol="left",
        )


def _override(run: ModelTrial, switch: SwitchTrial) -> Finding:
    moved = sorted(row.moved for row in switch.rows)
    far = switch.captured or (bool(moved) and moved[len(moved) // 2] >= 1)
    acts = "overrides" if far else "steers"
    kept = "; the output hardly depends on the input any more" if switch.captured else ""
    what = "the same trigger" if switch.universal else "a trigger made for each"
    return Finding(
        message=f"a trigger was found for the switch at {switch.label[-80:]}: with {what}, it "
        f"{acts} the output {switch.output[:60]} on {switch.overridden} of {switch.inputs} "
        f"inputs{kept}",
        at=run.at,
        action=Action.BLOCK,
        symbol=f"override {switch.label}"[:200],
        evidence=(*switch.triggers, _outputs(switch), _measured(run, switch), _again(run, switch)),
    )


def _outputs(switch: SwitchTrial) -> Table:
    rows = tuple(
        (str(number), row.natural, row.held, row.triggered, f"{row.moved:.3g}",
         f"{row.by_chance:.3g}")
        for number, row in enumerate(switch.rows, 1)
    )  # fmt: skip
    return Table(
        "Outputs with and without the trigger; distances in units of the usual one between the "
        "outputs of two inputs",
        ("input", "as it is", "with the trigger, switch held", "with the trigger",
         "moved by the switch", "by itself without it"),
        rows,
    )  # fmt: skip


def _measured(run: ModelTrial, switch: SwitchTrial) -> Table:
    rows = (
        ("state of the switch", switch.value),
        ("usually", switch.usual_state),
        ("with the trigger", switch.other_state),
        ("flipped", f"{switch.flipped} of {switch.inputs} inputs"),
        ("overridden", f"{switch.overridden} of {switch.inputs} inputs"),
        (
            "much of it without the trigger",
            f"{switch.by_chance} of {switch.inputs} inputs",
        ),
        ("found by", f"{switch.how}, after {switch.tries:,} tries"),
        ("run by", run.runtime),
        *(
            (("run was", f"an ONNX model written from the graph of this one ({run.written_from})"),)
            if run.written_from
            else ()
        ),
    )
    return Table("The switch", ("what", "found"), rows)


def _again(run: ModelTrial, switch: SwitchTrial) -> Text:
    again = (
        f"It is another one on {switch.overridden} of {switch.inputs} inputs."
        if switch.universal
        else "Here the trigger depends on the rest of the input: the numbers are the whole input. "
        "For another input it has to be made again."
    )
    steps = _STEPS_ELSEWHERE if run.written_from else _STEPS
    text = steps.format(output=switch.output, value=switch.value, again=again)
    return Text("How to see it again", text)


def _note(at: Location, switch: SwitchTrial) -> Finding:
    found = "a trigger was found, but" if switch.outcome == "no-effect" else "not flipped:"
    measured = (_outputs(switch),) if switch.rows else ()
    return Finding(
        message=f"the switch at {switch.label[-80:]}: {found} {switch.why}, in "
        f"{switch.tries:,} tries",
        at=at,
        action=Action.NOTE,
        symbol=f"tried {switch.label}"[:200],
        evidence=(*switch.triggers, *measured),
    )
