"""Values of options converted without pydantic are those that typer makes with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from command_line import GROUP
from typer import BadParameter, core

from tui_feeder.commands.option_values import PlainValues

VALUES = (
    None, "", "x", "-", " 5 ", "5", "-1", "0.5", "1e3", "nan", "٣", "é/币", "\udcff", "\x00", "true", "no",
    "csv", "CSV", "debug", "stop", "usdm", "jsonl", "9" * 50,
)  # fmt: skip


def parameters() -> list[tuple[str, Any, Any]]:
    """Every parameter of every command: its name, itself, and the context it is read in."""
    found, waiting = [], [("feeder-tui", GROUP)]
    while waiting:
        name, command = waiting.pop()
        context = command.context_class(command, info_name=name)
        found += [(f"{name} {each.name}", each, context) for each in command.get_params(context)]
        waiting += [(f"{name} {below}", child) for below, child in getattr(command, "commands", {}).items()]
    return found


def outcome(coerce: Callable[..., object], value: object, **of: object) -> tuple[str, object]:
    try:
        found = coerce(value, **of)
    except BadParameter as error:
        return "refused", error.message
    return type(found).__name__, found


def test_every_parameter_has_the_value_and_the_refusal_that_typer_gives_it() -> None:
    found = parameters()
    assert len(found) > 100
    kinds = set()
    for name, parameter, context in found:
        descriptor, of = parameter.type_descriptor, {"param": parameter, "ctx": context}
        theirs, ours = core.build_runtime_param(descriptor).coerce, PlainValues(descriptor).coerce
        for value in (*VALUES, parameter.default):
            wanted = outcome(theirs, value, **of)
            made = outcome(ours, value, **of)
            if wanted[0] == "refused" and "is not one of" in str(wanted[1]):  # ours says what to write
                choices = re.findall(r"'([^']*)'", str(wanted[1]).rpartition("is not one of")[2])
                assert made[0] == "refused"
                assert str(made[1]).startswith(f"{value!r} is not known: write ")
                assert all(choice in str(made[1]) for choice in choices), (name, made)
            else:
                assert made == wanted, (name, value)
            kinds.add(wanted[0])
    assert {"NoneType", "str", "PosixPath", "int", "float", "bool", "refused", "tuple", "Output"} <= kinds
