"""An implementation on trial: every call is written down, so that a student sees what was asked and what came out.

A law is a function that takes a :class:`Subject` and calls it: with ``subject.gives(expected, …)``, with
``subject.raises``, or plainly, followed by ``subject.expect``. Inside it hypothesis may choose the arguments; it ends
with the smallest ones that fail, and the last call on record is then the smallest counter-example.
"""

from __future__ import annotations

import inspect
import os
import reprlib
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, is_dataclass
from types import BuiltinMethodType, MethodType
from typing import Any

import msgspec

NOTHING = object()
"""Where there is no result, because the call raised an error or did not come back."""


class _Short(reprlib.Repr):
    """Long things are cut; an object is shown with the fields that somebody has set."""

    def repr_instance(self, x: Any, level: int) -> str:
        try:
            signature = inspect.signature(type(x))
        except (TypeError, ValueError):
            return super().repr_instance(x, level)
        if not (is_dataclass(x) or isinstance(x, msgspec.Struct)):
            return super().repr_instance(x, level)
        fields = {each.name: each.default for each in signature.parameters.values()}
        told = {name: getattr(x, name) for name, default in fields.items() if getattr(x, name) != default}
        made = {name for name, default in fields.items() if repr(default) == "<factory>"}  # empty when nobody says
        shown = {name: value for name, value in told.items() if not (name in made and value in ([], {}))}
        words = (f"{name}={self.repr1(value, level - 1)}" for name, value in shown.items())
        return f"{type(x).__name__}({', '.join(words)})"

    def repr_stat_result(self, x: os.stat_result, _level: int) -> str:
        """Python shows no ``st_rdev``, which is all that tells one device from another."""
        device = f"os.makedev({os.major(x.st_rdev)}, {os.minor(x.st_rdev)})"
        return f"stat_result(st_mode={stat.filemode(x.st_mode)!r} {x.st_mode:#o}, st_rdev={device})"


_short = _Short()
_short.maxstring = _short.maxother = 300
_short.maxlist = _short.maxdict = _short.maxtuple = 20


def _written(argument: object) -> str:
    """As one would write it. (Python shows a method, ``{…}.get``, by its address, which says nothing.)"""
    if isinstance(argument, MethodType | BuiltinMethodType):
        return f"{_written(argument.__self__)}.{argument.__name__}"
    return _short.repr(argument)


class Once:
    """An iterable that can be gone through once, as a generator can, but shown with what it was made of."""

    def __init__(self, values: Iterable[Any]) -> None:
        self._values = list(values)
        self._rest = iter(self._values)

    def __iter__(self) -> Iterator[Any]:
        return self._rest

    def __repr__(self) -> str:
        return f"iter({_short.repr(self._values)})"


class Unwritten(BaseException):
    """The implementation is still the stub. (Not an Exception: no law shall take it for an answer.)"""


@dataclass
class Observation:
    """One call and what came of it. ``expected`` is NOTHING where a law has no single right answer."""

    name: str
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)
    result: Any = NOTHING
    error: BaseException | None = None
    expected: Any = NOTHING
    why: str = ""

    @property
    def call(self) -> str:
        """As one would write it."""
        words = [_written(argument) for argument in self.arguments]
        words += [f"{name}={_written(value)}" for name, value in self.keywords.items()]
        return f"{self.name}({', '.join(words)})"

    @property
    def outcome(self) -> str:
        """What came out of it, in words."""
        if self.error is not None:
            return f"raised {type(self.error).__name__}: {self.error}".rstrip(": ")
        return "did not come back" if self.result is NOTHING else _short.repr(self.result)

    @property
    def wanted(self) -> str:
        """What should have come out, in words; "" where there is no single answer."""
        if self.expected is NOTHING:
            return ""
        if isinstance(self.expected, type) and issubclass(self.expected, BaseException):
            return f"raise {self.expected.__name__}"
        return _short.repr(self.expected)


class Broken(AssertionError):
    """A law is broken; the observation says how."""

    def __init__(self, observation: Observation) -> None:
        super().__init__(observation.call)
        self.observation = observation


class Subject:
    """The implementation on trial; call it as one would call the implementation itself."""

    def __init__(self, implementation: Callable[..., Any], name: str = "") -> None:
        self.implementation = implementation
        self.name = name or implementation.__name__
        self.last = Observation(self.name)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call it, and write down what happens."""
        self.last = Observation(self.name, arguments, keywords)
        try:
            self.last.result = self.implementation(*arguments, **keywords)
        except NotImplementedError as error:
            raise Unwritten from error
        except Exception as error:
            self.last.error = error
            raise
        return self.last.result

    def gives(self, expected: Any, *arguments: Any, why: str = "", **keywords: Any) -> None:
        """The call returns something equal to ``expected``."""
        try:
            result = self(*arguments, **keywords)
        finally:
            # Whose code has crashed wants to know, too, what it should have said.
            self.last.expected, self.last.why = expected, why
        self.expect(result == expected, why)

    def raises(self, expected: type[BaseException], *arguments: Any, why: str = "", **keywords: Any) -> None:
        """The call raises an error of this kind."""
        try:
            self(*arguments, **keywords)
        except expected:
            return
        except Exception:
            # Another error is a wrong answer too, not an accident: it is on record.
            pass
        self.last.expected = expected
        self.expect(False, why)

    def expect(self, holds: bool, why: str, expected: Any = NOTHING) -> None:
        """Something holds of the last call; if not, ``why`` says what should."""
        if holds:
            return
        self.last.why = why
        if expected is not NOTHING:
            self.last.expected = expected
        raise Broken(self.last)
