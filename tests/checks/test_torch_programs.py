"""Exported programs, TorchScript and its mobile bytecode: targets, texts that run, classes."""

from __future__ import annotations

import base64
import io
import json
import pickle
import types
import zipfile
from pathlib import Path
from typing import Any

import pytest

from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Gap, GapKind
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.exported_program import EXPORTED_PROGRAM, ExportedProgram

BENIGN = Path(__file__).parents[1] / "benign" / "files" / "torch"
X: dict[str, Any] = {"as_tensor": {"name": "x"}}


def node(target: str, *given: Any) -> dict[str, Any]:
    inputs = [{"name": "a", "arg": g, "kind": 1} for g in given or (X,)]
    return {"target": target, "inputs": inputs, "outputs": [X], "metadata": {}}


def graph(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"inputs": [X], "outputs": [X], "nodes": list(nodes), "tensor_values": {}, **more}


def program(*nodes: dict[str, Any], tree: str = "[1, {}]", **more: Any) -> dict[str, Any]:
    module = {
        "graph": more.pop("graph", None) or graph(*nodes),
        "signature": {
            "input_specs": [{"user_input": {"arg": X}}],
            "output_specs": [{"user_output": {"arg": X}}],
        },
        "module_call_graph": [{"fqn": "", "signature": {"in_spec": tree, "out_spec": tree}}],
    }
    version = {"major": 8, "minor": 20}
    return {"graph_module": module, "opset_version": {"aten": 10}, "schema_version": version,
            "torch_version": "2.13.0", "guards_code": [], **more}  # fmt: skip


def packed(members: dict[str, Any]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in members.items():
            text = data if isinstance(data, str | bytes) else json.dumps(data)
            archive.writestr(name, text)
    return made.getvalue()


def look(data: bytes, path: str = "model.pt2") -> Examined:
    return examine(Held(path, data), load(), Limits())


def said(data: bytes, check: str) -> list[tuple[str, str]]:
    found = look(data)
    assert not [g for g in found.gaps if g.kind is GapKind.CRASHED], found.gaps
    return [(f.action.value, f.symbol) for f in found.findings if f.check == check]


def exported(value: Any, name: str = "models/model.json") -> list[tuple[str, str]]:
    return said(packed({f"m/{name}": value, "m/archive_format": "pt2"}), "exported-program")


@pytest.mark.parametrize(
    ("target", "action"),
    [
        ("torch.ops.aten.add.Tensor", None),
        ("torch.ops.aten.__and__.Tensor", None),
        ("torch.ops.aten.__and__.__class__", "block"),
        ("torch.ops.mine.__and__.__class__", "block"),
        ("torch.ops.higher_order.cond", None),
        ("torch.ops.quantized_decomposed.quantize_per_tensor.default", None),
        ("_operator.getitem", None),
        ("math.ceil", None),
        ("torch.sym_max", None),
        ("torch._sym_sqrt", None),
        ("torch.ops.mine.scale.default", "review"),
        ("torch.ops.aten.add.Tensor.name", "review"),
        ("torch._assert", "review"),
        ("#mine:scale", "review"),
        ("mine.scale", "review"),
        ("_operator.methodcaller", "review"),
        ("torch.ops.aten.from_file.default", "block"),
        ("torch.ops.image.write_file.default", "block"),
        ("torch.ops.load_library", "block"),
        ("torch.os.system", "block"),
        ("torch.hub.load", "block"),
        ("torch.ops.aten.add.__class__", "block"),
        ("math.__loader__.load_module", "block"),
    ],
)
def test_targets(target: str, action: str | None) -> None:
    expected = [(action, target)] if action else []
    assert exported(program(node(target))) == expected
    assert exported(program(node(target)), "../serialized_exported_program.json") == expected
    nested = {"as_graph": {"name": "g", "graph": graph(node(target))}}
    assert exported(program(node("torch.ops.higher_order.cond", nested))) == expected
    handed = node("torch.ops.higher_order.scan", {"as_operator": target})
    assert exported(program(handed)) == expected


@pytest.mark.parametrize(
    ("formula", "action"),
    [
        ("Symbol('s77', positive=True, integer=True)", None),
        ("FloorDiv(Symbol('s7', integer=True), Integer(2))", None),
        ("2*s0 + Max(1, s1)", None),
        ("Eq(s0, 3)", None),
        ("__import__('os').system('id')", "block"),
        ("s0.__class__.__mro__", "block"),
        ("exec('1')", "block"),
        ("S('2')", "review"),
        ("(lambda: 2)()", "review"),
        ("s0.subs(1, 2)", "review"),
        ("Add(1, 'text')", "review"),
        ("s0 +", "review"),
    ],
)
def test_formulas(formula: str, action: str | None) -> None:
    size = {"as_expr": {"expr_str": formula, "hint": {"as_int": 2}}}
    tensor = {"dtype": 7, "sizes": [size], "strides": [{"as_int": 1}]}
    made = program(graph=graph(node("torch.ops.aten.relu.default"), tensor_values={"x": tensor}))
    assert [a for a, _ in exported(made)] == ([action] if action else [])


@pytest.mark.parametrize(
    ("guard", "action"),
    [
        ("(L['x']['a'].size()[0] // 2) <= L['x']['a'].size()[0]", None),
        ("Mod(L['x'].size()[0], 2) == 0", None),
        ("math.floor(L['n']) != 1", None),
        ("__import__('os').system('id')", "block"),
        ("True, 'x')\n  import os; os.system('id')\n  torch._assert(True", "block"),
        ("True)\n  print(1", "review"),
        ("L['x'].apply_(f)", "review"),
        ("open('f')", "block"),
    ],
)
def test_guards(guard: str, action: str | None) -> None:
    made = program(node("torch.ops.aten.relu.default"), guards_code=[guard])
    assert [a for a, _ in exported(made)] == ([action] if action else [])


def test_descriptions_of_arguments_import() -> None:
    def tree(module: str, name: str) -> str:
        context = {"default_factory_module": module, "default_factory_name": name}
        inner = {"type": "collections.defaultdict", "context": context, "children_spec": []}
        return json.dumps([1, inner])

    enum = json.dumps([1, {"context": json.dumps([{"__enum__": True, "fqn": "mine.kinds:K"}])}])
    relu = node("torch.ops.aten.relu.default")
    assert exported(program(relu, tree=tree("builtins", "list"))) == []
    assert exported(program(relu, tree=tree("os", "system"))) == [("block", "os.system")]
    assert exported(program(relu, tree=enum)) == [("review", "mine.kinds.K")]


def test_native_objects() -> None:
    known, other = "__torch__.torch.classes.quantized.P", "__torch__.torch.classes.mine.P"
    relu = node("torch.ops.aten.relu.default")
    objects = {"k": {"name": "k", "class_fqn": known}, "o": {"name": "o", "class_fqn": other}}
    made = program(graph=graph(relu, custom_obj_values=objects))
    assert exported(made) == [("review", other)]


def test_a_key_that_is_spelled_so_that_it_cannot_be_seen() -> None:
    text = json.dumps(program(node("torch.hub.load")))
    hidden = (
        '{"pad": "' + "x" * 9_000 + '", ' + text[1:].replace("graph_module", "graph\\u005fmodule")
    )
    assert exported(hidden) == [("block", "torch.hub.load")]


def test_other_json_in_a_folder_called_models() -> None:
    other = '{"a": "\\u00e9", "models": [1, 2]}'
    assert look(packed({"m/models/a.json": other})).gaps == ()


def test_broken_programs_are_gaps() -> None:
    for broken in (
        program({"inputs": []}),
        program(node("torch.ops.aten.relu.default", {"as_int": 1, "as_float": 2.0})),
        {**program(), "graph_module": []},
    ):
        gaps = look(packed({"m/models/model.json": broken})).gaps
        assert [g.kind for g in gaps] == [GapKind.MALFORMED]


def test_the_document_keeps_the_graph() -> None:
    with zipfile.ZipFile(BENIGN / "programs" / "branch.pt2") as archive:
        data = archive.read("branch/models/model.json")
    assert EXPORTED_PROGRAM.parse is not None
    document = EXPORTED_PROGRAM.parse(Held("m.json", data), Location("m.json"), Limits())
    assert isinstance(document, ExportedProgram)
    assert len(list(document.graphs())) == 5
    conds = [n for n in document.graph.nodes if n.target == "torch.ops.higher_order.cond"]
    kinds = [a.kind for _, a in conds[0].inputs]
    assert kinds == ["tensor", "graph", "graph", "tensors"]
    assert document.graph.tensors["x"].shape == (3,)
    assert document.inputs[0].kind == "user_input"
    assert document.inputs[0].argument.names == ("x",)


def test_compiled_packages_are_said() -> None:
    folder = "m/data/aotinductor/model/"
    with_library = packed({f"{folder}a.wrapper.so": "x", f"{folder}a.wrapper.cpp": "int a;"})
    assert said(with_library, "aotinductor-package") == [("review", "aotinductor model")]
    assert said(packed({f"{folder}a.cpp": "int a;"}), "aotinductor-package")
    assert said(packed({"m/data/weights/a.so": "x"}), "aotinductor-package") == []


# -- TorchScript ----------------------------------------------------------------------------------


def bytecode(*operators: tuple[str, ...]) -> bytes:
    table = (("instructions", (("OP", 0, 0),)), ("operators", operators), ("constants", ()),
             ("types", ("Tensor",)), ("register_size", 2))  # fmt: skip
    return pickle.dumps((8, ("__torch__.M.forward", table)), protocol=2)


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (("aten::add", "Tensor", 3), []),
        (("quantized::linear_dynamic", "", 3), []),
        (("aten::save", "", 2), [("block", "aten::save")]),
        (("aten::from_file", "out", 2), [("block", "aten::from_file.out")]),
        (("mine::scale", ""), [("review", "mine::scale")]),
    ],
)
def test_mobile_operators(operator: tuple[Any, ...], expected: list[tuple[str, str]]) -> None:
    data = packed({"m/data.pkl": b"\x80\x02N.", "m/bytecode.pkl": bytecode(operator)})
    assert said(data, "torch-mobile-operator") == expected
    assert said(data, "polyglot") == []


def test_bytecode_of_another_shape_is_a_gap() -> None:
    odd = pickle.dumps((8, ("f", (("operators", ((1, 2),)),))), protocol=2)
    found = look(packed({"m/bytecode.pkl": odd}))
    assert [g.kind for g in found.gaps] == [GapKind.MALFORMED]


def stored(module: str, name: str) -> bytes:
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b")\x81}b."


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("__torch__.torch.classes.quantized", "LinearPackedParamsBase", []),
        ("__torch__.mine", "Net", []),
        ("__torch__.torch.classes.mine", "State", [("review", "mine.State")]),
        ("__torch__.torch.classes.__backends__", "nnapi", [("review", "__backends__.nnapi")]),
    ],
)
def test_native_classes(module: str, name: str, expected: list[tuple[str, str]]) -> None:
    data = packed({"m/data.pkl": stored(module, name)})
    assert said(data, "torch-native-class") == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("torch.relu(x)", []),
        ("ops.quantized.add_relu(x, x, 1., 0)", []),
        ('torch.save(x, "f")', [("block", "torch.save")]),
        ('ops.image.read_file("f")', [("block", "ops.image.read_file")]),
        ("ops.prim.rpc_sync(x)", [("block", "ops.prim.rpc_sync")]),
        ("ops.mine.scale(x)", [("review", "ops.mine.scale")]),
        ("__torch__.torch.classes.quantized.P.__new__(x)", []),
        ("__torch__.torch.classes.mine.P.__new__(x)", [("review", "mine.P")]),
    ],
)
def test_script_source(line: str, expected: list[tuple[str, str]]) -> None:
    method = "def forward(self: __torch__.M, x: Tensor) -> Tensor:"
    code = f"class M(Module):\n  {method}\n    return {line}\n"
    members = {"m/data.pkl": stored("__torch__", "M"), "m/constants.pkl": b"\x80\x02).",
               "m/code/__torch__.py": code, "m/version": "3"}  # fmt: skip
    assert said(packed(members), "torchscript-acts") == expected


@pytest.mark.parametrize("path", sorted(p.name for p in (BENIGN / "mobile").iterdir()))
def test_real_archives_are_read_whole(path: str) -> None:
    found = look((BENIGN / "mobile" / path).read_bytes(), path)
    assert [f for f in found.findings if f.action is not Action.NOTE and
            f.check != "loading-runs-code"] == []  # fmt: skip
    assert [g for g in found.gaps if isinstance(g, Gap)] == []
    parsers = {row.parser.partition("/")[0] for row in found.coverage}
    assert {"pickle", "python"} <= parsers
    assert ("torch-mobile-bytecode" in parsers) == path.endswith(".ptl")


# -- pickled functions ----------------------------------------------------------------------------


class Code:
    """Pickles to a code object put together, as cloudpickle and dill write it."""

    def __init__(self, code: types.CodeType, front: tuple[Any, ...] = ()) -> None:
        self.code, self.front = code, front

    def __reduce__(self) -> tuple[Any, ...]:
        c = self.code
        consts = tuple(Code(k) if isinstance(k, types.CodeType) else k for k in c.co_consts)
        numbers = (c.co_argcount, c.co_posonlyargcount, c.co_kwonlyargcount, c.co_nlocals,
                   c.co_stacksize, c.co_flags)  # fmt: skip
        rest = (c.co_code, consts, c.co_names, c.co_varnames, c.co_filename, c.co_name,
                c.co_qualname, c.co_firstlineno, c.co_linetable, c.co_exceptiontable,
                c.co_freevars, c.co_cellvars)  # fmt: skip
        return types.CodeType, (*self.front, *numbers, *rest)


class Pickler(pickle._Pickler):
    """Names the type of code objects as dill and cloudpickle do; `pickle` itself refuses to."""

    def save_global(self, obj: Any, name: str | None = None) -> None:
        if obj is types.CodeType:
            self.write(b"ctypes\nCodeType\n")  # type: ignore[attr-defined]
        else:
            super().save_global(obj, name)  # type: ignore[misc]


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("front", [(), (b"\x01\x02",)])
def test_pickled_functions_are_shown(protocol: int, front: tuple[Any, ...]) -> None:
    whole = compile(
        "def go(cmd):\n  def inner(): return os.popen(cmd)\n  return inner\n", "m.py", "exec"
    )
    function = next(k for k in whole.co_consts if isinstance(k, types.CodeType))
    made = io.BytesIO()
    Pickler(made, protocol).dump(Code(function, front))
    found = look(made.getvalue(), "model.pkl")
    finding = next(f for f in found.findings if f.check == "pickle-trusted-misuse")
    assert finding.action is Action.BLOCK
    shown = [e for e in finding.evidence if isinstance(e, Text) and "disassembled" in e.title]
    assert len(shown) == 1
    assert "os.popen(cmd)" in shown[0].text
    assert "go(cmd), line 1" in shown[0].text


def test_lambda_layers_are_shown() -> None:
    import marshal

    function = (lambda x: __import__("os").system("id")).__code__
    code = base64.b64encode(marshal.dumps(function)).decode()
    layer = {"class_name": "Lambda", "config": {"function": [code, None, None]}}
    config = {"class_name": "Sequential", "config": {"layers": [layer]}, "keras_version": "2.15"}
    found = look(json.dumps(config).encode(), "config.json")
    finding = next(f for f in found.findings if f.check == "keras-config")
    first = finding.evidence[0]
    assert isinstance(first, Text)
    assert "__import__('os').system('id')" in first.text
