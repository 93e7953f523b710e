"""The program that tries one model, in a jail: a place and seconds in, one `Answer` in JSON out."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from weighbridge.core.document import Malformed
from weighbridge.core.fact import SwitchTrial
from weighbridge.core.finding import GapKind
from weighbridge.engine.trials import Answer, Model


def main() -> None:
    """Try the model that the first argument names for as long as the second says; the others are
    its format, its path, the folder that its path counts from and the members that lead to it."""
    place, seconds, kind, path, root = sys.argv[1:6]
    model = Model(place, kind, path, tuple(sys.argv[6:]), root)
    try:
        answer = _tried(model, float(seconds))
    except MemoryError:
        answer = Answer(failed="the memory limit for trials was reached", kind=GapKind.TOO_LARGE)
    os.write(1, msgspec.json.encode(answer))
    os._exit(0)  # the runtime's threads have nothing to say any more


def _tried(model: Model, seconds: float) -> Answer:
    from weighbridge.analysis.graph_written import Unwritable
    from weighbridge.engine.trial.reading import as_onnx
    from weighbridge.engine.trial.running import Budget, OutOfTime
    from weighbridge.engine.trial.trial import NotRun, on_bench, switches_on, trial

    done: list[SwitchTrial] = []
    left = 0
    try:
        budget = Budget(seconds)
        bench = on_bench(as_onnx(model), Path(model.place).parent, budget)
        switches, held = switches_on(bench)
        left = len(switches)
        for switch in switches:
            done.append(trial(bench, switch, held))
            left -= 1
            if done[-1].outcome == "override":
                break
    except OutOfTime:
        if not done:
            return Answer(failed=f"nothing was known after {seconds:.0f} s", kind=GapKind.TIMEOUT)
    except (NotRun, Unwritable) as error:
        return Answer(failed=str(error), kind=GapKind.UNSUPPORTED)
    except Malformed as error:
        return Answer(failed=f"it could not be opened: {error.why}", kind=GapKind.MALFORMED)
    except OSError as error:
        return Answer(failed=f"it could not be read: {error.strerror}", kind=GapKind.UNREADABLE)
    return Answer(switches=tuple(done), left=left)


if __name__ == "__main__":
    main()
