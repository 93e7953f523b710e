"""Check `torch-native-class`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.pickle import Pickle
from weighbridge.intel import torch_operators

PREFIX = "__torch__.torch.classes."


@check("torch-native-class", control="payload-scan", reads=Pickle)
def torch_native_class(pickle: Pickle) -> Iterator[Finding]:
    """A torch archive stores objects of a native class, or of a backend, that torch does not have.

    ## Why it matters
    TorchScript and exported programs can hold objects of classes written in C++. Loading one hands
    the stored state to the class's own code, from a library that somebody must install first. A
    module lowered to a backend is such an object: what it computes is in the backend's own format.

    ## What to do
    Find out which library registers the class and build it from source you trust. For a backend,
    ask for the module that was lowered.

    ## Limits
    The class's code is not in the archive; the state that it gets is scanned as data.

    ## References
    - https://docs.pytorch.org/tutorials/advanced/custom_classes.html
    - https://cwe.mitre.org/data/definitions/829.html
    """
    for name in pickle.imports:
        module = name.module if isinstance(name.module, str) else ""
        if not f"{module}.".startswith(PREFIX) or not isinstance(name.name, str):
            continue
        namespace = module.removeprefix(PREFIX.rstrip(".")).removeprefix(".")
        if torch_operators.known_class(namespace):
            continue
        if namespace == torch_operators.BACKENDS:
            message = f"a part of the model was lowered to the backend {name.name[:80]!r}"
        else:
            message = f"objects of the native class {namespace}.{name.name[:80]} are stored"
        yield Finding(
            message=message,
            at=pickle.at(name.offset),
            action=Action.REVIEW,
            symbol=f"{namespace}.{name.name}"[:200],
        )
