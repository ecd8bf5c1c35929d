"""Values of options without pydantic: typer imports it to convert any, 0.1 s of the start of each command.

Values that need no library are converted here. All others, and whatever is refused, are left to typer.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import cached_property
from typing import Any

import typer
from typer import core

#: Makes what converts the values of one parameter, the first time that it has one; not in typer before 0.29.
_build: Callable[[Any], Any] | None = getattr(core, "build_runtime_param", None)


class PlainValues:
    """Converts the values of one parameter.

    Args:
        descriptor: of the parameter, as typer has it.
    """

    def __init__(self, descriptor: Any) -> None:  # noqa: ANN401 - undocumented
        self._descriptor = descriptor

    @cached_property
    def _typers(self) -> Any:  # noqa: ANN401 - undocumented
        assert _build is not None
        return _build(self._descriptor)

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ANN401 - as typer's
        """Converts a value.

        Args:
            value: as given, or the default; None without one.
            param: the parameter.
            ctx: of the command line.

        Returns:
            The value in the parameter's type.

        Raises:
            typer.BadParameter: it is none of that type.
        """
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        plain = None if several or param.nargs != 1 else self._plain(value)
        return self._typers.coerce(value, param=param, ctx=ctx) if plain is None else plain

    def _plain(self, value: Any) -> Any:  # noqa: ANN401 - of any type
        """The value in its type; None where typer has to convert or refuse it."""
        kind, info = self._descriptor.annotation, self._descriptor.parameter_info
        if info.parser is not None or (isinstance(kind, type) and issubclass(kind, Enum)):
            try:
                return (info.parser or kind)(value)
            except ValueError:
                if info.parser is not None:
                    return None
                names = [str(choice.value) for choice in kind]
                wanted = names[0] if len(names) == 1 else f"one of {', '.join(names)}"
                raise typer.BadParameter(f"{value!r} is not known: write {wanted}") from None
        unbounded = info.min is None and info.max is None
        return value if kind in (str, int, float) and type(value) is kind and unbounded else None


def convert_without_pydantic() -> None:
    """Has typer convert by :class:`PlainValues` from now on."""
    if _build is not None:
        core.build_runtime_param = PlainValues  # type: ignore[assignment, attr-defined]
