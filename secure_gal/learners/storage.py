"""A party's own models as bytes: tables of numbers, and a description of what they belong to. Nothing in them is run.

The form is one safetensors file: tensors `0`, `1` and so on, and `tree`, canonical JSON that says what is made of them.
A node of it is null, a truth value, a text, a whole number of at most 63 bits, a finite number, or an object with one
key: its kind. Objects of a class are its name and their state as `__getstate__` gives it. Estimators of scikit-learn
are in skops' form (`storage_estimators`), networks are their layers and weights (`storage_modules`). Whoever reads says
whose classes may be named: those of this package and of scikit-learn, NumPy, SciPy and PyTorch always, others by the
start of their module's name (`storage_classes`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.errors import SettingsError
from secure_gal.learners.storage_classes import PLACES, Unreadable, class_named, with_state

FORMAT = b"secure-gal model 4\n"
EVERYTHING = ("",)
"""Starts every module's name: for what this process, or code that the party's own file names, has written."""
TREE = "tree"
WRONG_NODES = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What Python raises where a node has parts that its kind cannot be made of, or nodes lie in each other without end."""
MAX_DEPTH = 100
"""Nodes inside each other; a real model has about 20."""
LARGEST = 2**63
OF_CLASS = frozenset({"struct", "estimator", "module", "tensor", "class"})
"""Kinds of nodes whose values are of a class."""
Node = Any
"""What JSON holds, checked where it is read."""


class Unstorable(Exception):
    """A value is no data; the message names it."""


def dump(value: object) -> bytes:
    """A model, encoder or label coding as bytes, with the format version in front.

    Raises:
        SettingsError: it holds something that is no data, such as a function or an open file.
    """
    from safetensors.numpy import save

    writer = Writer()
    try:
        tree = writer.write(value)
    except Unstorable as error:
        raise SettingsError("[learner]", f"cannot be kept: {error}") from error
    tensors = {str(number): array for number, array in enumerate(writer.arrays)}
    tensors[TREE] = np.frombuffer(msgspec.json.encode(tree, order="deterministic"), dtype=np.uint8)
    return FORMAT + bytes(save(tensors))


def load(raw: bytes, trusted: tuple[str, ...] = ()) -> Any:
    """What `dump` wrote.

    Args:
        trusted: starts of modules' names whose classes may be named besides the usual ones.

    Raises:
        SettingsError: another format version, damaged, or a class that is not trusted.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as read

    if not raw.startswith(FORMAT):
        raise SettingsError(
            "run_dir",
            f"a saved model has another format (expected {FORMAT.decode().strip()!r}); use "
            "the version that wrote it, or train anew in an empty run_dir",
        )
    try:
        tensors = read(raw[len(FORMAT) :])
        tree = msgspec.json.decode(tensors.pop(TREE).tobytes())
        return Reader(tensors, trusted).read(tree)
    except Unreadable as error:
        raise SettingsError("run_dir", f"a saved model is not read: {error}") from error
    except (SafetensorError, msgspec.DecodeError, *WRONG_NODES) as error:
        raise SettingsError("run_dir", f"a saved model is damaged: {error}") from error


def name_of(kind: type) -> str:
    """MODULE:CLASS; Unstorable for a class inside a function, which nobody finds again."""
    if "<locals>" in kind.__qualname__:
        raise Unstorable(f"{kind.__qualname__} is defined inside a function; define it in a module")
    return f"{kind.__module__}:{kind.__qualname__}"


class Writer:
    """Makes nodes; `arrays` are what they number."""

    def __init__(self) -> None:
        self.arrays: list[npt.NDArray[Any]] = []
        self._depth = 0

    def write(self, value: object) -> Node:
        """The node of a value; Unstorable."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unstorable("it holds itself, or is nested too deeply")
        try:
            return self._node(value)
        finally:
            self._depth -= 1

    def number(self, array: npt.NDArray[Any]) -> int:
        """Keep an array; its number."""
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise Unstorable(f"an array of {array.dtype}; numbers and truth values can be kept")
        self.arrays.append(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
        return len(self.arrays) - 1

    def _node(self, value: Any) -> Node:
        kind = type(value)  # not its heirs: they hold more than they are read back with
        if value is None or kind is bool:
            return value
        if kind in (str, np.str_):
            return _text(str(value))
        if isinstance(value, np.generic):
            return {"scalar": self.number(np.asarray(value))}
        if kind is int:
            return value if -LARGEST <= value < LARGEST else {"int": str(value)}
        if kind is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if kind is bytes:
            return {"bytes": self.number(np.frombuffer(value, dtype=np.uint8))}
        if kind in (np.ndarray, np.memmap):
            return {"array": self.number(value)}
        if kind is slice:
            return {"slice": [value.start, value.stop, value.step]}
        return self._container(value)

    def _container(self, value: Any) -> Node:
        kind = type(value)
        if kind in (list, tuple):
            return {kind.__name__: [self.write(item) for item in value]}
        if kind in (set, frozenset):
            return {kind.__name__: [self.write(item) for item in _in_order(value)]}
        if kind is dict:
            return {"dict": [[self.write(key), self.write(item)] for key, item in value.items()]}
        if isinstance(value, msgspec.Struct):
            return {"struct": name_of(kind), "value": msgspec.to_builtins(value)}
        if _of_library(value, "sklearn.base", "BaseEstimator"):
            from secure_gal.learners import storage_estimators

            return {"estimator": self.number(np.frombuffer(storage_estimators.write(value), dtype=np.uint8))}
        if _of_library(value, "torch.nn", "Module") or _of_library(value, "torch", "Tensor"):
            from secure_gal.learners import storage_modules

            return storage_modules.node_of(value, self)
        return self._object(value)

    def _object(self, value: object) -> Node:
        kind = type(value)
        if isinstance(value, type) or (callable(value) and hasattr(value, "__code__")) or kind.__module__ == "builtins":
            raise Unstorable(f"{value!r} is no data")
        named = name_of(kind)
        try:
            object.__new__(kind)  # as `with_state` will
        except TypeError:
            raise Unstorable(
                f"an object of {named} does not say in its state what it holds; take a list, a dict, an array, "
                "a number or text instead"
            ) from None
        return {"class": named, "state": self.write(value.__getstate__())}


def _of_library(value: object, module: str, name: str) -> bool:
    """Whether a value is of a class of a library, which is not imported to ask; another thread may be importing it."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(value, kind)


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Unstorable(f"{value!r} is no text: {error.reason}") from None
    return value


def _in_order(values: Collection[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError as error:
        raise Unstorable(f"a set of what has no order: {error}") from None


class Reader:
    """Makes values of nodes.

    Args:
        arrays: by number, as text.
        trusted: starts of modules' names besides the usual ones.
    """

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]], trusted: tuple[str, ...]) -> None:
        self._arrays, self.trusted = arrays, trusted

    def read(self, node: Node) -> Any:
        """The value of a node; Unreadable."""
        if not isinstance(node, dict):
            if isinstance(node, list):
                raise Unreadable("a list stands where a node is due")
            return node
        if OF_CLASS & node.keys():
            return self._of_class(node)
        match node:
            case {"list": list(items)}:
                return [self.read(item) for item in items]
            case {"tuple": list(items)}:
                return tuple(self.read(item) for item in items)
            case {"set": list(items)} | {"frozenset": list(items)}:
                return ({"set": set, "frozenset": frozenset}[next(iter(node))])(self.read(item) for item in items)
            case {"dict": list(pairs)}:
                return {self.read(key): self.read(item) for key, item in pairs}
            case {"int": str(text)}:
                return int(text)
            case {"float": ("nan" | "inf" | "-inf") as text}:
                return float(text)
            case {"slice": [start, stop, step]}:
                return slice(start, stop, step)
            case {"array": number}:
                return self.array(number)
            case {"scalar": number}:
                return self.array(number)[()]
            case {"bytes": number}:
                return self.array(number).tobytes()
            case _:
                raise Unreadable(f"no kind of node has the keys {', '.join(map(str, node))}")

    def array(self, number: object) -> npt.NDArray[Any]:
        """The array of this number; Unreadable."""
        found = self._arrays.get(str(number))
        if found is None:
            raise Unreadable(f"array {number!r} is missing")
        return found

    def _of_class(self, node: dict[str, Node]) -> object:
        from secure_gal.learners import storage_estimators, storage_modules

        match node:
            case {"struct": name, "value": value}:
                kind = class_named(name, PLACES)
                if not issubclass(kind, msgspec.Struct):
                    raise Unreadable(f"{name!r} is no record")
                try:
                    return msgspec.convert(value, kind)
                except msgspec.ValidationError as error:
                    raise Unreadable(f"{name!r}: {error}") from error
            case {"estimator": number}:
                return storage_estimators.read(self.array(number).tobytes(), self.trusted)
            case {"module": {"of": _, "settings": _, "weights": list(), "buffers": list(), "layers": list()} as module}:
                return storage_modules.read(module, self)
            case {"tensor": number, "strides": list(strides)}:
                return storage_modules.tensor(self.array(number), strides)
            case {"class": name, "state": state}:
                return with_state(class_named(name, (*PLACES, *self.trusted)), self.read(state))
            case _:
                raise Unreadable(f"no kind of node has the keys {', '.join(map(str, node))}")
