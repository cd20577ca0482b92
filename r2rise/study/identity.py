"""What an object of the user's own program is known by: a hash of all that it does and holds.

It is taken from the code that runs, not from the file, which may have changed since: comments,
blank lines and docstrings do not count. It is the same in every process of one Python version.

Seen are code, defaults, closures, arguments of partials, attributes, and of global variables the
values, and the functions and classes of the same file. What is imported is known by its name alone.
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
"""Installed, wherever they lie."""

_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_LOADS_GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME")
_IDLE = ("CACHE", "EXTENDED_ARG", "NOP", "RESUME")


class Unidentified(StudyError):
    """Something cannot be told from a changed one."""


def identity_of(thing: Any) -> str | None:
    """Return `sha256:<hex>` of an object of the user's own program, or None for an installed one.

    A string or number `version` of a function, class, partial or instance stands for its code and
    for all that it holds; that of a class for the class, not for what its instances hold.

    Raises:
        Unidentified: Naming what cannot be told from a changed one.
    """
    held = getattr(thing, "__closure__", None) or isinstance(thing, MethodType)
    named = inspect.isroutine(thing) or inspect.isclass(thing)
    if named and not held and _is_installed(getattr(thing, "__module__", None)):
        return None
    try:
        return f"sha256:{_Reader().digest(thing)}"
    except RecursionError:
        raise Unidentified("it is nested too deeply") from None


def name_of(thing: object) -> str:
    """Return the `module:name` that a function, class or instance is known by."""
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{getattr(named, '__module__', None)}:{named.__qualname__}"


class _Part(NamedTuple):
    """Something that an object consists of, and where it is, to be told to the user."""

    thing: Any
    place: str = ""


class _Reader:
    """Hashes an object and its parts; a part that was met before by when that was."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._met: dict[int, tuple[int, Any]] = {}

    def digest(self, thing: Any) -> str:
        self._add(_Part(thing), [])
        return self._hash.hexdigest()

    def _add(self, part: _Part, above: list[str]) -> None:
        thing = part.thing
        above = [part.place, *above] if part.place else above
        if type(thing) in _PLAIN:
            self._write(type(thing).__name__, repr(thing))
            return
        if id(thing) in self._met:
            self._write("met", str(self._met[id(thing)][0]))
            return
        if type(thing) is not tuple:  # the compiler may share equal ones
            self._met[id(thing)] = len(self._met), thing  # kept, or its id would be used again
        try:
            parts = list(_parts(thing))
        except Unidentified as error:
            raise Unidentified(f"{' in '.join(above) or 'it'} is {error}") from None
        self._write(type(thing).__qualname__, str(len(parts)))
        for own in parts:
            self._add(own, above)

    def _write(self, *parts: str) -> None:
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            self._hash.update(b"%d:%s" % (len(data), data))


def _parts(thing: Any) -> Iterable[_Part]:
    """Return what an object consists of, in a fixed order.

    Raises:
        Unidentified: When that cannot be known.
    """
    if (version := _version(thing)) is not None:
        return [_Part(name_of(thing)), _Part(version)]
    if type(thing) in _KINDS:
        return _KINDS[type(thing)](thing)
    if isinstance(thing, type):
        return _of_class(thing)
    if hasattr(thing, "__wrapped__"):
        return [_Part(thing.__wrapped__)]
    return _of_instance(thing)


def _version(thing: Any) -> str | int | None:
    """Return an object's own version; an instance may compute it, but has not that of its class."""
    version = getattr(thing, "__dict__", {}).get("version")
    if isinstance(inspect.getattr_static(type(thing), "version", None), property):
        version = thing.version
    return version if isinstance(version, str | int) else None


def _of_function(function: FunctionType) -> list[_Part]:
    of = f"of {function.__qualname__}"
    names = function.__code__.co_freevars
    cells = zip(names, function.__closure__ or (), strict=True)
    parts = _named({name: _content(cell) for name, cell in cells}, f"variable {{}} {of}")
    if _is_installed(function.__globals__.get("__name__")):
        return [_Part(name_of(function)), *parts]
    own = {name: value for name, value in vars(function).items() if name != "__wrapped__"}
    return [
        _Part(function.__code__),
        *parts,
        *_named(_globals(function), f"global variable {{}} {of}"),
        _Part(function.__defaults__, f"a default {of}"),
        _Part(function.__kwdefaults__, f"a default {of}"),
        *_named(own, f"attribute {{}} {of}"),
    ]


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return "nothing yet"


def _globals(function: FunctionType) -> dict[str, Any]:
    """Return the global variables that a function uses; what it imports by name."""
    found, file = {}, function.__globals__.get("__name__")
    for name in _global_names(function.__code__) & function.__globals__.keys():
        value = function.__globals__[name]
        imported = hasattr(value, "__qualname__") and getattr(value, "__module__", None) != file
        found[name] = name_of(value) if imported else value
    return found


def _global_names(code: CodeType) -> set[str]:
    inner = (_global_names(const) for const in code.co_consts if isinstance(const, CodeType))
    loads = [i.argval for i in dis.get_instructions(code) if i.opname in _LOADS_GLOBAL]
    return {name for name in loads if not name.startswith("__")}.union(*inner)


def _of_code(code: CodeType) -> Iterable[_Part]:
    """Return the instructions that do something; places in the code are counted in these."""
    bytecode = dis.Bytecode(code)
    instructions = [i for i in bytecode if i.opname not in _IDLE]
    offsets = np.array([i.offset for i in instructions])

    def place(offset: int) -> int:
        return int(np.searchsorted(offsets, offset))

    yield _Part((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount))
    yield _Part((code.co_flags, code.co_varnames))
    for entry in bytecode.exception_entries:  # type: ignore[attr-defined]
        ends = place(entry.start), place(entry.end), place(entry.target)
        yield _Part((*ends, entry.depth, entry.lasti))
    for i in instructions:
        jumps = i.opcode in dis.hasjrel or i.opcode in dis.hasjabs
        yield _Part(i.opname)
        yield _Part(place(i.argval) if jumps else i.argval)


def _of_class(kind: type) -> list[_Part]:
    if _is_installed(kind.__module__):
        return [_Part(name_of(kind))]
    own = {
        name: value
        for name, value in vars(kind).items()
        if name not in ("version", "_abc_impl")
        and (not name.startswith("__") or isinstance(value, _CODE))
    }
    if issubclass(kind, BaseModel):
        fields = kind.model_fields.items()
        own["fields"] = {name: (field.default, field.default_factory) for name, field in fields}
    bases = _all((*kind.__bases__, type(kind)))
    return [*_named(own, f"attribute {{}} of {kind.__qualname__}"), *bases]


def _of_instance(thing: Any) -> Iterable[_Part]:
    """Return what would be pickled of an object: that is all there is to it."""
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
    made_by, arguments, state, items, pairs = [*reduced, None, None, None][:5]
    parts = _all((made_by, arguments, list(items or ()), dict(pairs or ())))
    if isinstance(state, dict) and all(isinstance(name, str) for name in state):
        return [*parts, *_named(state, f"attribute {{}} of a {type(thing).__qualname__}")]
    return [*parts, _Part(state)]


def _tensor_values(thing: Any) -> tuple[Any, ...] | None:
    """Return what a PyTorch tensor holds, or None for anything else."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(thing, torch.Tensor):
        return None
    values = thing.detach().cpu().reshape(-1).contiguous().view(torch.uint8)
    return str(thing.dtype), tuple(thing.shape), values.numpy().tobytes()


def _of_array(array: np.ndarray[Any, Any]) -> list[_Part]:
    values = array.tolist() if array.dtype.hasobject else array.tobytes()
    return _all((str(array.dtype), array.shape, values))


def _of_dict(items: Mapping[Any, Any]) -> Iterable[_Part]:
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


_CODE = (FunctionType, property, classmethod, staticmethod)

_KINDS: dict[type, Callable[[Any], Iterable[_Part]]] = {
    tuple: _all,
    list: _all,
    set: lambda things: _all(sorted(_Reader().digest(thing) for thing in things)),
    frozenset: lambda things: _all(sorted(_Reader().digest(thing) for thing in things)),
    dict: _of_dict,
    np.ndarray: _of_array,
    ModuleType: lambda module: [_Part(module.__name__)],
    CodeType: _of_code,
    FunctionType: _of_function,
    BuiltinFunctionType: lambda own: _all((own.__qualname__, own.__self__)),
    MethodType: lambda method: _all((method.__func__, method.__self__)),
    classmethod: lambda method: _all((method.__func__,)),
    staticmethod: lambda method: _all((method.__func__,)),
    property: lambda own: _all((own.fget, own.fset, own.fdel)),
    functools.cached_property: lambda own: _all((own.func,)),
    functools.partial: lambda own: [
        _Part(own.func),
        _Part(own.args, "an argument of the partial"),
        _Part(own.keywords, "an argument of the partial"),
    ],
    GetSetDescriptorType: lambda slot: [_Part(slot.__name__)],
    MemberDescriptorType: lambda slot: [_Part(slot.__name__)],
}
