"""What ``verify`` found, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import typer

from tui_feeder.commands.formatting import amount, plural, table
from tui_feeder.commands.verify_checks import Difference, Findings
from tui_feeder.time_format import format_minute

_SHOWN = 5  # findings of a kind and symbol, for people


def print_report(
    found: Sequence[Findings], offline: bool, repair: bool, json: bool, records: Sequence[str]
) -> None:
    """Print the findings on stdout; ``records`` are those of the store that are damaged, in words."""
    if json:
        answer = _as_json(found) | {"damaged_records": list(records)}
        answer["clean"] = answer["clean"] and (repair or not records)
        typer.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
        return
    for record in records[:_SHOWN]:
        typer.echo(f"damaged record: {record}" + ("; it is made anew" if repair else ""))
    if len(records) > _SHOWN:
        typer.echo(f"and {len(records) - _SHOWN} more damaged records; --json shows all")
    if found:
        typer.echo(_text(found, offline, repair, bool(records)))
    elif not records:
        typer.echo("nothing is stored")


def _text(found: Sequence[Findings], offline: bool, repair: bool, records: bool) -> str:
    head = ["symbol", "minutes", "certified", "faulty"]
    if not offline:
        head += ["files", "archive", "REST", "differing"]
        if repair:
            head.append("repaired")
    rows = []
    for one in found:
        row = [one.symbol, amount(one.minutes), amount(one.certified), amount(one.faulty)]
        if not offline:
            row += [amount(one.files), amount(one.by_archive), amount(one.by_rest), amount(one.differing)]
            if repair:
                row.append(amount(one.repaired + one.restored.minutes))
        rows.append(row)
    lines = [table(head, rows)]
    for one in found:
        lines.extend(_details(one))
    wrong = [one.symbol for one in found if not one.clean]
    if wrong:
        hint = "" if repair or offline else "; --repair takes the better source's values"
        lines.append(f"{plural(len(wrong), 'symbol')} with something wrong{hint}")
    elif records and not repair:
        lines.append("the candles are well; --repair removes the damaged records, which are made anew")
    else:
        lines.append("nothing is wrong" if not repair else "nothing is wrong any more")
    return "\n".join(lines)


def _details(one: Findings) -> list[str]:
    lines = []
    for fault in one.faults[:_SHOWN]:
        when = format_minute(fault.start)
        if fault.minutes > 1:
            when += f" .. {format_minute(fault.end)}"
        lines.append(f"{one.symbol} {when}: {fault.what}")
    if len(one.faults) > _SHOWN:
        lines.append(f"{one.symbol}: {plural(one.faulty, 'minute')} at fault in all; --json shows more")
    if one.restored:
        lines.append(f"{one.symbol}: {plural(one.restored.minutes, 'minute')} of damaged days read again")
    lines.extend(f"{one.symbol} {_difference(each)}" for each in one.differences[:_SHOWN])
    if len(one.differences) > _SHOWN:
        lines.append(f"{one.symbol}: {plural(one.differing, 'row')} differ in all; --json shows more")
    if one.lost:
        lines.append(f"{one.symbol}: {plural(one.lost, 'minute')} not there, which another source has")
    if one.defects:
        lines.append(
            f"{one.symbol}: {plural(one.defects, 'minute')} without a trade in the archive alone: "
            "a defect of the file, the stored rows stay"
        )
    lines.extend(f"{name} is another file than the one read before" for name in one.replaced[:_SHOWN])
    if len(one.replaced) > _SHOWN:
        lines.append(f"{one.symbol}: and {len(one.replaced) - _SHOWN} more files replaced")
    lines.extend(f"{one.symbol}: not compared with {why}" for why in one.unasked[:_SHOWN])
    if len(one.unasked) > _SHOWN:
        lines.append(f"{one.symbol}: and {len(one.unasked) - _SHOWN} more not compared")
    return lines


def _difference(each: Difference) -> str:
    values = ", ".join(f"{name} {ours!r} / {theirs!r}" for name, (ours, theirs) in each.values.items())
    kept = "" if each.better else " (the stored source ranks higher)"
    ours = each.stored_source.name.lower().replace("_", " ")
    theirs = each.other_source.name.lower().replace("_", " ")
    return f"{format_minute(each.open_time)}: stored ({ours}) / {theirs}: {values}{kept}"


def _as_json(found: Sequence[Findings]) -> dict[str, object]:
    return {
        "clean": all(one.clean for one in found),
        "symbols": [
            {
                "symbol": one.symbol,
                "clean": one.clean,
                "minutes": one.minutes,
                "certified_minutes": one.certified,
                "faulty_minutes": one.faulty,
                "faults": [{"start": f.start, "end": f.end, "what": f.what} for f in one.faults],
                "files": one.files,
                "compared_with_archive": one.by_archive,
                "compared_with_rest": one.by_rest,
                "differing": one.differing,
                "repaired": one.repaired,
                "damaged_minutes": one.damaged.minutes,
                "restored": one.restored.minutes,
                "lost": one.lost,
                "archive_defects": one.defects,
                "replaced_files": one.replaced,
                "differences": [
                    {
                        "open_time": each.open_time,
                        "stored_source": each.stored_source.name.lower(),
                        "other_source": each.other_source.name.lower(),
                        "values": {name: list(pair) for name, pair in each.values.items()},
                    }
                    for each in one.differences
                ],
                "not_compared": one.unasked,
            }
            for one in found
        ],
    }
