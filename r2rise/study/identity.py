"""Identity of an object from the user's program: a hash of its code and its values.

It is computed from the running code, not from the file, which may have changed since. Comments,
blank lines and docstrings do not affect it. Every process of one Python version gets the same hash.

The hash covers code, defaults, closures, arguments of partials, attributes and global variables in
use: their values, and functions and classes of the same file. Imports are hashed by name only.
"""

import copyreg
import dis
import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel

from r2rise.errors import StudyError

_OUR_PACKAGES = ("r2rise", "r2rise_envs")
"""Count as installed wherever they are located."""

_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_LOADS_GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME")
_IDLE = ("CACHE", "EXTENDED_ARG", "NOP", "RESUME")


class Unidentified(StudyError):
    """An object cannot be hashed, so that a change of it would go unnoticed."""


def identity_of(thing: Any) -> str | None:
    """Return `sha256:<hex>` of an object from the user's program, or None for an installed one.

    An attribute `version`, a string or integer, of a function, class, partial or instance replaces
    its code and its values in the hash; that of a class does not replace its instances' values.

    Raises:
        Unidentified: When a part cannot be hashed; the error names it.
    """
    has_values = getattr(thing, "__closure__", None) or isinstance(thing, MethodType)
    is_definition = inspect.isroutine(thing) or inspect.isclass(thing)
    if is_definition and not has_values and _is_installed(getattr(thing, "__module__", None)):
        return None
    try:
        return f"sha256:{_Reader().digest(thing)}"
    except RecursionError:
        raise Unidentified("it is nested too deeply") from None


def name_of(thing: object) -> str:
    """Return the `module:name` of a function or class, or of an instance's class."""
    definition = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{getattr(definition, '__module__', None)}:{definition.__qualname__}"


class _Part(NamedTuple):
    """A part of an object, and its place in that object, for error messages."""

    thing: Any
    place: str = ""


class _Reader:
    """Hashes an object and its parts; a repeated part is hashed as the index of its first visit."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._visited: dict[int, tuple[int, Any]] = {}

    def digest(self, thing: Any) -> str:
        self._add(_Part(thing), [])
        return self._hash.hexdigest()

    def _add(self, part: _Part, outer_places: list[str]) -> None:
        thing = part.thing
        places = [part.place, *outer_places] if part.place else outer_places
        if type(thing) in _PLAIN:
            self._write(type(thing).__name__, repr(thing))
            return
        if id(thing) in self._visited:
            self._write("met", str(self._visited[id(thing)][0]))
            return
        if type(thing) is not tuple:  # the compiler may share equal tuples
            self._visited[id(thing)] = len(self._visited), thing  # a freed id is reused
        try:
            parts = list(_parts(thing))
        except Unidentified as error:
            raise Unidentified(f"{' in '.join(places) or 'it'} is {error}") from None
        self._write(type(thing).__qualname__, str(len(parts)))
        for inner_part in parts:
            self._add(inner_part, places)

    def _write(self, *parts: str) -> None:
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            self._hash.update(b"%d:%s" % (len(data), data))


def _parts(thing: Any) -> Iterable[_Part]:
    """Return the parts of an object in a fixed order.

    Raises:
        Unidentified: When they cannot be determined.
    """
    if (version := _version(thing)) is not None:
        return [_Part(name_of(thing)), _Part(version)]
    if type(thing) in _PARTS_OF_TYPE:
        return _PARTS_OF_TYPE[type(thing)](thing)
    if isinstance(thing, type):
        return _class_parts(thing)
    if hasattr(thing, "__wrapped__"):
        return [_Part(thing.__wrapped__)]
    return _instance_parts(thing)


def _version(thing: Any) -> str | int | None:
    """Return an object's version; a property may compute an instance's, its class's is not used."""
    version = getattr(thing, "__dict__", {}).get("version")
    if isinstance(inspect.getattr_static(type(thing), "version", None), property):
        version = thing.version
    return version if isinstance(version, str | int) else None


def _function_parts(function: FunctionType) -> list[_Part]:
    owner = f"of {function.__qualname__}"
    names = function.__code__.co_freevars
    cells = zip(names, function.__closure__ or (), strict=True)
    parts = _named({name: _cell_value(cell) for name, cell in cells}, f"variable {{}} {owner}")
    if _is_installed(function.__globals__.get("__name__")):
        return [_Part(name_of(function)), *parts]
    attributes = {name: value for name, value in vars(function).items() if name != "__wrapped__"}
    return [
        _Part(function.__code__),
        *parts,
        *_named(_globals(function), f"global variable {{}} {owner}"),
        _Part(function.__defaults__, f"a default {owner}"),
        _Part(function.__kwdefaults__, f"a default {owner}"),
        *_named(attributes, f"attribute {{}} {owner}"),
    ]


def _cell_value(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return "nothing yet"


def _globals(function: FunctionType) -> dict[str, Any]:
    """Return the global variables that a function uses, imported ones as their `module:name`."""
    used_globals, module = {}, function.__globals__.get("__name__")
    for name in _global_names(function.__code__) & function.__globals__.keys():
        value = function.__globals__[name]
        imported = hasattr(value, "__qualname__") and getattr(value, "__module__", None) != module
        used_globals[name] = name_of(value) if imported else value
    return used_globals


def _global_names(code: CodeType) -> set[str]:
    nested_names = (_global_names(const) for const in code.co_consts if isinstance(const, CodeType))
    loaded_names = [i.argval for i in dis.get_instructions(code) if i.opname in _LOADS_GLOBAL]
    return {name for name in loaded_names if not name.startswith("__")}.union(*nested_names)


def _code_parts(code: CodeType) -> Iterable[_Part]:
    """Yield all instructions but idle ones; positions in the code are counted in these."""
    bytecode = dis.Bytecode(code)
    instructions = [i for i in bytecode if i.opname not in _IDLE]
    offsets = np.array([i.offset for i in instructions])

    def position(offset: int) -> int:
        return int(np.searchsorted(offsets, offset))

    yield _Part((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount))
    yield _Part((code.co_flags, code.co_varnames))
    for entry in bytecode.exception_entries:  # type: ignore[attr-defined]
        positions = position(entry.start), position(entry.end), position(entry.target)
        yield _Part((*positions, entry.depth, entry.lasti))
    for i in instructions:
        jumps = i.opcode in dis.hasjrel or i.opcode in dis.hasjabs
        yield _Part(i.opname)
        yield _Part(position(i.argval) if jumps else i.argval)


def _class_parts(kind: type) -> list[_Part]:
    if _is_installed(kind.__module__):
        return [_Part(name_of(kind))]
    members = {
        name: value
        for name, value in vars(kind).items()
        if name not in ("version", "_abc_impl")
        and (not name.startswith("__") or isinstance(value, _CODE_TYPES))
    }
    if issubclass(kind, BaseModel):
        fields = kind.model_fields.items()
        members["fields"] = {name: (field.default, field.default_factory) for name, field in fields}
    bases = _all((*kind.__bases__, type(kind)))
    return [*_named(members, f"attribute {{}} of {kind.__qualname__}"), *bases]


def _instance_parts(thing: Any) -> Iterable[_Part]:
    """Return what would be pickled of an object, which determines it completely."""
    if (values := _tensor_values(thing)) is not None:
        return [_Part(values)]
    reduced: Any
    try:
        reduce = copyreg.dispatch_table.get(type(thing))
        reduced = reduce(thing) if reduce else thing.__reduce_ex__(4)
    except Exception:
        kind = name_of(type(thing)).replace(":", ".").removeprefix("builtins.")
        raise Unidentified(f"a {kind}") from None
    if isinstance(reduced, str):
        return [_Part(name_of(type(thing))), _Part(reduced)]
    constructor, arguments, state, items, pairs = [*reduced, None, None, None][:5]
    parts = _all((constructor, arguments, list(items or ()), dict(pairs or ())))
    if isinstance(state, dict) and all(isinstance(name, str) for name in state):
        state = _without_generator(thing, state)
        return [*parts, *_named(state, f"attribute {{}} of a {type(thing).__qualname__}")]
    return [*parts, _Part(state)]


def _without_generator(thing: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of an object; a space of gymnasium is the same after samples were drawn."""
    gym = sys.modules.get("gymnasium")
    is_space = gym is not None and isinstance(thing, gym.Space)
    return {**state, "_np_random": None} if is_space else state


def _tensor_values(thing: Any) -> tuple[Any, ...] | None:
    """Return dtype, shape and bytes of a PyTorch tensor, or None for anything else."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(thing, torch.Tensor):
        return None
    values = thing.detach().cpu().reshape(-1).contiguous().view(torch.uint8)
    return str(thing.dtype), tuple(thing.shape), values.numpy().tobytes()


def _array_parts(array: np.ndarray[Any, Any]) -> list[_Part]:
    values = array.tolist() if array.dtype.hasobject else array.tobytes()
    return _all((str(array.dtype), array.shape, values))


def _dict_parts(items: Mapping[Any, Any]) -> Iterable[_Part]:
    for digest, key in sorted(((_Reader().digest(key), key) for key in items), key=lambda p: p[0]):
        yield _Part(digest)
        yield _Part(items[key], f"key {key!r}")


def _all(things: Iterable[Any]) -> list[_Part]:
    return [_Part(thing) for thing in things]


def _named(values: Mapping[str, Any], place: str) -> list[_Part]:
    names = sorted(values)
    return [_Part(tuple(names)), *(_Part(values[name], place.format(name)) for name in names)]


def _is_installed(module: str | None) -> bool:
    top = (module or "").partition(".")[0]
    if top in sys.stdlib_module_names or top in _OUR_PACKAGES:
        return True
    file = getattr(sys.modules.get(module or "") or sys.modules.get(top), "__file__", None)
    return bool({"site-packages", "dist-packages"} & set(Path(file or "").parts))


_CODE_TYPES = (FunctionType, property, classmethod, staticmethod)

_PARTS_OF_TYPE: dict[type, Callable[[Any], Iterable[_Part]]] = {
    tuple: _all,
    list: _all,
    set: lambda things: _all(sorted(_Reader().digest(thing) for thing in things)),
    frozenset: lambda things: _all(sorted(_Reader().digest(thing) for thing in things)),
    dict: _dict_parts,
    np.ndarray: _array_parts,
    ModuleType: lambda module: [_Part(module.__name__)],
    CodeType: _code_parts,
    FunctionType: _function_parts,
    BuiltinFunctionType: lambda function: _all((function.__qualname__, function.__self__)),
    MethodType: lambda method: _all((method.__func__, method.__self__)),
    classmethod: lambda method: _all((method.__func__,)),
    staticmethod: lambda method: _all((method.__func__,)),
    property: lambda prop: _all((prop.fget, prop.fset, prop.fdel)),
    functools.cached_property: lambda prop: _all((prop.func,)),
    functools.partial: lambda partial: [
        _Part(partial.func),
        _Part(partial.args, "an argument of the partial"),
        _Part(partial.keywords, "an argument of the partial"),
    ],
    GetSetDescriptorType: lambda slot: [_Part(slot.__name__)],
    MemberDescriptorType: lambda slot: [_Part(slot.__name__)],
}
