"""The code of TorchScript, followed on symbols.

It is a restricted Python (`torch/csrc/jit/serialization/python_print.cpp`). Methods are inlined
with their origin kept. A branch that shapes and constants decide is followed alone, others both,
and what they leave is joined by an `If`; a short loop is unrolled, another followed once. An
exception ends a branch: it gives no output.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from weighbridge.analysis.aten import UNKNOWN, Ref, run
from weighbridge.analysis.aten_table import ATEN
from weighbridge.analysis.computation_graph import ABSENT, Loop
from weighbridge.analysis.graph_writer import DEPTH, Full, Writer
from weighbridge.analysis.torchscript_builtins import BUILTIN, UNROLLED, Raised
from weighbridge.analysis.torchscript_objects import Module, Objects

ROUNDS: Final = 2_000
"""How many rounds of loops are unrolled in all."""


class _Name(Struct):
    """A dotted name that is no value: a function, a class, an operator."""

    dotted: str


class _Method(Struct):
    owner: Module
    name: str


class _Returned(Struct):
    value: Any


Env = dict[str, Any]


class Code:
    """Follows calls of an archive's functions and writes what they compute."""

    def __init__(self, w: Writer, objects: Objects) -> None:
        self.w, self.objects = w, objects
        self.constants: Sequence[Any] = ()
        self.rounds = 0

    def call(
        self, function: ast.FunctionDef, given: Sequence[Any], named: Mapping[str, Any], label: str
    ) -> Any:
        """What a function of the code gives."""
        if len(self.w.origin) > DEPTH:
            raise Full
        self.w.step()
        names = [a.arg for a in function.args.args]
        env: Env = {}
        for argument, default in zip(
            reversed(names), reversed(function.args.defaults), strict=False
        ):
            env[argument] = self.value(default, env)
        env.update(zip(names, given, strict=False))
        env.update(named)
        outer = self.w.origin
        self.w.origin = (*outer, label) if label else outer
        try:
            returned = self._block(function.body, env)
        finally:
            self.w.origin = outer
        return returned.value if returned is not None else None

    def _block(self, body: Sequence[ast.stmt], env: Env) -> _Returned | None:
        for number, statement in enumerate(body):
            self.w.step()
            if isinstance(statement, ast.If):
                rest = body[number + 1 :]
                if _returns(statement) and rest:
                    return self._branch(statement, [*statement.body, *rest],
                                       [*statement.orelse, *rest], env)  # fmt: skip
                returned = self._branch(statement, statement.body, statement.orelse, env)
                if returned is not None:
                    return returned
            elif isinstance(statement, ast.Return):
                value = self.value(statement.value, env) if statement.value else None
                return _Returned(value)
            else:
                self._statement(statement, env)
        return None

    def _statement(self, statement: ast.stmt, env: Env) -> None:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                self._assign(target, self.value(statement.value, env, target), env)
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            self._assign(statement.target, self.value(statement.value, env), env)
        elif isinstance(statement, ast.Expr):
            self.value(statement.value, env)
        elif isinstance(statement, ast.For | ast.While):
            self._loop(statement, env)
        elif isinstance(statement, ast.With):
            self._block(statement.body, env)
        elif isinstance(statement, ast.Raise):
            raise Raised
        elif not isinstance(statement, ast.Pass | ast.Assert | ast.AnnAssign):
            self.w.leave_out(f"code of a kind that is not followed ({type(statement).__name__})")

    def _assign(self, target: ast.expr, value: Any, env: Env) -> None:
        if isinstance(target, ast.Name):
            env[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List):
            parts = value if isinstance(value, list) else [UNKNOWN] * len(target.elts)
            for part, item in zip(target.elts, parts, strict=False):
                self._assign(part, item, env)
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value, env)
            if isinstance(owner, Module):
                owner.attributes[target.attr] = value
        elif isinstance(target, ast.Subscript):
            owner, key = self.value(target.value, env), self.value(target.slice, env)
            if isinstance(owner, dict) and isinstance(key, str | int):
                owner[key] = value
            elif isinstance(owner, list):
                place = key if isinstance(key, int) else len(owner)
                owner[place : place + 1] = [value] if -len(owner) <= place < len(owner) else []

    # Branches and loops --------------------------------------------------------------------------

    def _branch(
        self, statement: ast.If, yes: Sequence[ast.stmt], no: Sequence[ast.stmt], env: Env
    ) -> _Returned | None:
        test = self.value(statement.test, env)
        known = self.decided(test)
        if known is not None:
            return self._block(yes if known else no, env)
        before = _references(env)
        ends: list[tuple[Env, dict[int, int], _Returned | None] | None] = []
        outer = self.w.origin
        for body, label in ((yes, "then"), (no, "else")):
            inner = {k: list(v) if isinstance(v, list) else v for k, v in env.items()}
            self.w.origin = (*outer, label)
            try:
                returned = self._block(body, inner)
                changed = {i: ref.number for i, (ref, old) in before.items() if ref.number != old}
                ends.append((inner, changed, returned))
            except Raised:
                ends.append(None)
            finally:
                self.w.origin = outer
                for ref, old in before.values():
                    ref.number = old
        alone = ends[0] if ends[1] is None else ends[1] if ends[0] is None else None
        if alone is not None:
            env.update(alone[0])
            for i, number in alone[1].items():
                before[i][0].number = number
            return alone[2]
        if ends[0] is None or ends[1] is None:
            raise Raised
        condition = test.number if isinstance(test, Ref) else ABSENT
        self.w.label = "if"
        for i in {**ends[0][1], **ends[1][1]}:
            ref, old = before[i]
            both = (ends[0][1].get(i, old), ends[1][1].get(i, old))
            ref.number = self.w.op("If", condition, *both)
        for name in {**ends[0][0], **ends[1][0]}:
            first, second = (e[0].get(name, UNKNOWN) for e in (ends[0], ends[1]))
            env[name] = self.join(condition, first, second)
        if ends[0][2] is None and ends[1][2] is None:
            return None
        values = [e[2].value if e[2] is not None else None for e in (ends[0], ends[1])]
        return _Returned(self.join(condition, *values))

    def decided(self, test: Any) -> bool | None:
        """Whether a condition holds, where shapes and constants say so."""
        if isinstance(test, Ref):
            known = self.w.known(test.number)
            if known is not None and len(known) == 1 and not isinstance(known[0], str):
                return bool(known[0])
            return None
        return None if test is UNKNOWN else bool(test)

    def join(self, condition: int, first: Any, second: Any) -> Any:
        """One of two values, by a condition."""
        if first is second:
            return first
        if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
            return [self.join(condition, a, b) for a, b in zip(first, second, strict=True)]
        numbers = []
        for value in (first, second):
            if isinstance(value, Ref):
                numbers.append(value.number)
            elif isinstance(value, bool | int | float):
                numbers.append(self.w.number(value))
        if len(numbers) == 2:
            if numbers[0] == numbers[1]:
                return first
            return Ref(self.w.op("If", condition, *numbers))
        if first is UNKNOWN or first is None:
            return second
        return first

    def _loop(self, statement: ast.For | ast.While, env: Env) -> None:
        test: Any = UNKNOWN
        if isinstance(statement, ast.For):
            items = self.items(statement.iter, env)
            if isinstance(items, list) and len(items) <= UNROLLED:
                self.rounds += len(items)
                if self.rounds <= ROUNDS:
                    for item in items:
                        self._assign(statement.target, item, env)
                        self._block(statement.body, env)
                    return
            test = items if isinstance(items, Ref) else UNKNOWN
            step = (
                self.w.op("Step", test.number) if isinstance(test, Ref) else self.w.graph.value("i")
            )
            self._assign(statement.target, Ref(step), env)
            whole = isinstance(test, Ref) and _from_nothing(statement.iter)
            self.once(statement.body, test, env, place=step if whole else ABSENT)
        else:
            test = self.value(statement.test, env)
            enters = self.decided(test)
            while self.decided(test) is True and self.rounds < ROUNDS:
                self.rounds += 1
                self._block(statement.body, env)
                test = self.value(statement.test, env)
            if self.decided(test) is False:
                return
            asks = statement.test.id if isinstance(statement.test, ast.Name) else ""
            self.once(statement.body, UNKNOWN if enters else test, env, asks)

    def items(self, node: ast.expr, env: Env) -> Any:
        """What a loop goes through: a list where it is known, a number of rounds, or nothing."""
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "range"
        ):
            ends = [self.value(a, env) for a in node.args]
            known = [self.known_number(e) for e in ends]
            if ends and all(isinstance(k, int) for k in known):
                bounds = range(*[int(k) for k in known if k is not None][:3])
                return list(bounds) if len(bounds) <= UNROLLED else UNKNOWN
            return next((e for e in reversed(ends) if isinstance(e, Ref)), UNKNOWN)
        found = self.value(node, env)
        return found if isinstance(found, list) else UNKNOWN

    def known_number(self, value: Any) -> int | None:
        """A whole number, where it is known."""
        if isinstance(value, Ref):
            known = self.w.known(value.number)
            value = known[0] if known is not None and len(known) == 1 else None
        return int(value) if isinstance(value, int | float) and math.isfinite(value) else None

    def once(
        self,
        body: Sequence[ast.stmt],
        test: Any,
        env: Env,
        asks: str = "",
        place: int = ABSENT,
    ) -> None:
        """Follow a loop's body once; what it changes may be what it was or what it becomes. `asks`
        is the variable that says whether there is another turn, `place` the number of the turn."""
        written = {n.id for s in body for n in ast.walk(s)
                   if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}  # fmt: skip
        for name in written:  # a number that changes from turn to turn is no longer known
            if isinstance(env.get(name), bool | int | float):
                env[name] = Ref(self.w.number(env[name]))
        started = {name: env[name] for name in written if isinstance(env.get(name), Ref)}
        carried = {name: self.w.op("Carried", value.number) for name, value in started.items()}
        env.update((name, Ref(number)) for name, number in carried.items())
        before, held = _references(env), _lengths(env)
        others = written.intersection(env).difference(started)
        try:
            self._block(body, env)
        except Raised:
            return
        condition = test.number if isinstance(test, Ref) else ABSENT
        names = [name for name in started if isinstance(env[name], Ref)]
        begins = tuple(carried[name] for name in names)
        hands_on = tuple(env[name].number for name in names)
        in_place = any(ref.number != old for ref, old in before.values())
        whole = len(names) == len(started) and not (others or in_place or held != _lengths(env))
        for ref, old in before.values():
            if ref.number != old:
                ref.number = self.left(condition, old, ref.number)
        leaves: list[int] = []
        for name in names:
            first, last = started[name].number, env[name].number
            leaves.append(self.w.op("Repeated", last, first, condition) if whole
                          else self.left(condition, first, last))  # fmt: skip
            env[name] = Ref(leaves[-1])
        loop = Loop(begins, hands_on)
        if whole and asks in carried:
            loop = Loop(begins, hands_on, tuple(leaves), carried[asks])
        elif whole and place != ABSENT:
            loop = Loop(begins, hands_on, tuple(leaves), turns=condition, place=place)
        self.w.graph.loops.append(loop)

    def left(self, condition: int, first: int, last: int) -> int:
        """What a loop leaves: it may not have run at all."""
        if first == last:
            return last
        return self.w.op("Repeated", last, first, condition)

    # Expressions ----------------------------------------------------------------------------------

    def value(self, node: ast.expr, env: Env, target: ast.expr | None = None) -> Any:
        """What an expression comes to."""
        self.w.step()
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            if node.id in env:
                return env[node.id]
            return float(node.id) if node.id in ("inf", "nan") else _Name(node.id)
        if isinstance(node, ast.UnaryOp):
            inner = self.value(node.operand, env)
            if isinstance(node.op, ast.Not):
                known = self.decided(inner)
                return UNKNOWN if known is None else not known
            return -inner if isinstance(inner, int | float) else UNKNOWN
        if isinstance(node, ast.List | ast.Tuple):
            return [self.value(e, env) for e in node.elts]
        if isinstance(node, ast.Dict):
            keys = [self.value(k, env) if k is not None else None for k in node.keys]
            items = [self.value(v, env) for v in node.values]
            return {k: v for k, v in zip(keys, items, strict=True) if isinstance(k, str | int)}
        if isinstance(node, ast.Attribute):
            return self._attribute(node, env)
        if isinstance(node, ast.Subscript):
            return self._subscript(node, env)
        if isinstance(node, ast.Call):
            if isinstance(target, ast.Name):
                self.w.label = target.id
            return self._called(node, env)
        if isinstance(node, ast.IfExp):
            known = self.decided(self.value(node.test, env))
            if known is not None:
                return self.value(node.body if known else node.orelse, env)
            both = (self.value(node.body, env), self.value(node.orelse, env))
            test = self.value(node.test, env)
            return self.join(test.number if isinstance(test, Ref) else ABSENT, *both)
        self.w.leave_out(f"an expression that is not followed ({type(node).__name__})")
        return UNKNOWN

    def _attribute(self, node: ast.Attribute, env: Env) -> Any:
        return self._attribute_of(self.value(node.value, env), node.attr)

    def _attribute_of(self, owner: Any, name: str) -> Any:
        if isinstance(owner, Module):
            return owner.attributes[name] if name in owner.attributes else _Method(owner, name)
        if isinstance(owner, _Name):
            if owner.dotted == "CONSTANTS" and name[1:].isdigit():
                place = int(name[1:])
                return self.constants[place] if place < len(self.constants) else UNKNOWN
            if owner.dotted == "torch" and name in ("inf", "nan", "pi"):
                return getattr(math, name)
            return _Name(f"{owner.dotted}.{name}")
        return UNKNOWN

    def _subscript(self, node: ast.Subscript, env: Env) -> Any:
        owner, key = self.value(node.value, env), self.value(node.slice, env)
        return self.item(owner, key)

    def item(self, owner: Any, key: Any) -> Any:
        """An element of a list, a mapping or a tensor."""
        if isinstance(owner, list):
            place = self.known_number(key)
            if place is not None:
                return owner[place] if -len(owner) <= place < len(owner) else UNKNOWN
            return next((v for v in owner if isinstance(v, Ref)), UNKNOWN)
        if isinstance(owner, dict):
            return owner.get(key, UNKNOWN) if isinstance(key, str | int) else UNKNOWN
        if isinstance(owner, Ref) and isinstance(key, Ref | int):
            index = key.number if isinstance(key, Ref) else self.w.number(key)
            return Ref(self.w.op("Gather", owner.number, index, axis=0))
        return UNKNOWN

    def _called(self, node: ast.Call, env: Env) -> Any:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "tolist":
            return self.value(node.func.value, env)  # its numbers stay in a tensor
        function = self.value(node.func, env)
        if isinstance(function, _Name) and function.dotted in ("annotate", "unchecked_cast"):
            return self.value(node.args[1], env) if len(node.args) > 1 else UNKNOWN
        if isinstance(function, _Name) and function.dotted in ("uninitialized", "isinstance"):
            return UNKNOWN
        given = [self.value(a, env) for a in node.args if not isinstance(a, ast.Starred)]
        if isinstance(function, _Name) and function.dotted == "getattr" and len(given) == 2:
            return self._attribute_of(given[0], str(given[1]))
        named = {k.arg: self.value(k.value, env) for k in node.keywords if k.arg}
        if isinstance(function, _Method):
            found = self.objects.method(function.owner.kind, function.name)
            if found is None:
                self.w.leave_out(f"the code of {function.owner.kind[-60:]}.{function.name[:40]}")
                return UNKNOWN
            label = function.owner.kind.rpartition(".")[2]
            return self.call(found, [function.owner, *given], named, f"{label}.{function.name}")
        if not isinstance(function, _Name):
            return UNKNOWN
        return self._operator(function.dotted, given, named)

    def _operator(self, dotted: str, given: list[Any], named: dict[str, Any]) -> Any:
        if dotted.startswith("__torch__."):
            module, _, name = dotted.rpartition(".")
            found = self.objects.definitions(module).get(name)
            if isinstance(found, ast.FunctionDef):
                return self.call(found, given, named, name)
            if isinstance(found, ast.ClassDef):
                return self.made(dotted, found, given)
            self.w.leave_out(f"the code of {dotted[-80:]}")
            return UNKNOWN
        space, _, name = dotted.rpartition(".")
        builtin = BUILTIN.get(name)
        if builtin is not None and space in ("torch", "ops.prim", "ops.aten", ""):
            result = builtin(self, given)
            if result is not NotImplemented:
                return result
        if space in ("torch", "ops.prim", "ops.aten", ""):
            return run(self.w, ATEN, name, given, named)
        if space == "ops.quantized" and name.startswith(("linear", "conv")):
            return self.quantised(name, given)
        return run(self.w, ATEN, f"{space.removeprefix('ops.')}::{name}", given, named)

    def made(self, dotted: str, kind: ast.ClassDef, given: list[Any]) -> Any:
        """An object of a class of the code: a named tuple's fields, or what `__init__` sets."""
        fields = [s.target.id for s in kind.body
                  if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]  # fmt: skip
        made = Module(dotted)
        start = self.objects.method(dotted, "__init__")
        if start is not None:
            self.call(start, [made, *given], {}, f"{kind.name}.__init__")
        else:
            made.attributes.update(zip(fields, given, strict=False))
        return made

    def quantised(self, name: str, given: list[Any]) -> Any:
        """A layer whose weights are packed: numbers that are not to be had."""
        weight = self.w.graph.value("packed weights", "int8", ("outputs", "inputs"))
        data = given[0].number if given and isinstance(given[0], Ref) else ABSENT
        return Ref(self.w.op("MatMul", data, weight))


def _returns(statement: ast.If) -> bool:
    return any(isinstance(n, ast.Return) for n in ast.walk(statement))


def _from_nothing(node: ast.expr) -> bool:
    """Whether a loop counts from nothing on, by one."""
    return isinstance(node, ast.Call) and len(node.args) == 1


def _lengths(env: Mapping[str, Any]) -> dict[int, int]:
    """How long the lists and mappings of an environment are."""
    return {id(held): len(held) for held in env.values() if isinstance(held, list | dict)}


def _references(env: Mapping[str, Any]) -> dict[int, tuple[Ref, int]]:
    """The tensors that an environment knows, with what they are now."""
    found: dict[int, tuple[Ref, int]] = {}
    waiting = list(env.values())
    while waiting:
        here = waiting.pop()
        if isinstance(here, list):
            waiting += here
        elif isinstance(here, Ref) and id(here) not in found:
            found[id(here)] = here, here.number
            if here.base is not None:
                waiting.append(here.base)
    return found
