"""What ``verify`` found, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import typer

from tui_feeder.commands.formatting import format_count, format_table, plural
from tui_feeder.commands.verify_checks import Difference, Findings
from tui_feeder.time_format import format_minute

_SHOWN = 5  # findings of a kind and symbol, for people


def print_report(
    found: Sequence[Findings], offline: bool, repair: bool, json: bool, records: Sequence[str]
) -> None:
    """Prints the findings on stdout.

    Args:
        found: findings of each symbol.
        offline: only the store was checked.
        repair: faults were repaired.
        json: print one JSON object.
        records: damaged records of the store, in words.
    """
    if json:
        answer = _as_json(found) | {"damaged_records": list(records)}
        answer["clean"] = answer["clean"] and (repair or not records)
        typer.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
        return
    for record in records[:_SHOWN]:
        typer.echo(f"damaged record: {record}" + ("; it will be created again" if repair else ""))
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
    for findings in found:
        row = [
            findings.symbol,
            format_count(findings.minutes),
            format_count(findings.certified),
            format_count(findings.faulty),
        ]
        if not offline:
            row += [
                format_count(findings.files),
                format_count(findings.by_archive),
                format_count(findings.by_rest),
                format_count(findings.differing),
            ]
            if repair:
                row.append(format_count(findings.repaired + findings.restored.minutes))
        rows.append(row)
    lines = [format_table(head, rows)]
    for findings in found:
        lines.extend(_details(findings))
    wrong = [findings.symbol for findings in found if not findings.clean]
    if wrong:
        hint = "" if repair or offline else "; --repair takes the better source's values"
        lines.append(f"{plural(len(wrong), 'symbol')} with something wrong{hint}")
    elif records and not repair:
        lines.append("the candles are valid; --repair removes the damaged records, which are created again")
    else:
        mended = records or any(findings.repaired or findings.restored for findings in found)
        lines.append(
            "nothing is wrong"
            if not repair
            else "nothing is wrong any more"
            if mended
            else "nothing was wrong"
        )
    return "\n".join(lines)


def _details(findings: Findings) -> list[str]:
    lines = []
    for fault in findings.faults[:_SHOWN]:
        when = format_minute(fault.start)
        if fault.minutes > 1:
            when += f" .. {format_minute(fault.end)}"
        lines.append(f"{findings.symbol} {when}: {fault.what}")
    if len(findings.faults) > _SHOWN:
        lines.append(
            f"{findings.symbol}: {plural(findings.faulty, 'minute')} at fault in all; --json shows more"
        )
    if findings.restored:
        lines.append(
            f"{findings.symbol}: {plural(findings.restored.minutes, 'minute')} of damaged days read again"
        )
    lines.extend(f"{findings.symbol} {_difference(each)}" for each in findings.differences[:_SHOWN])
    if len(findings.differences) > _SHOWN:
        lines.append(
            f"{findings.symbol}: {plural(findings.differing, 'row')} differ in all; --json shows more"
        )
    if findings.lost:
        lines.append(
            f"{findings.symbol}: {plural(findings.lost, 'minute')} not there, which another source has"
        )
    if findings.defects:
        lines.append(
            f"{findings.symbol}: {plural(findings.defects, 'minute')} without a trade in the archive alone: "
            "a defect of the file, the stored rows stay"
        )
    lines.extend(f"{name} is another file than the one read before" for name in findings.replaced[:_SHOWN])
    if len(findings.replaced) > _SHOWN:
        lines.append(f"{findings.symbol}: and {len(findings.replaced) - _SHOWN} more files replaced")
    lines.extend(f"{findings.symbol}: not compared with {why}" for why in findings.unasked[:_SHOWN])
    if len(findings.unasked) > _SHOWN:
        lines.append(f"{findings.symbol}: and {len(findings.unasked) - _SHOWN} more not compared")
    return lines


def _difference(each: Difference) -> str:
    values = ", ".join(f"{name} {ours!r} / {theirs!r}" for name, (ours, theirs) in each.values.items())
    kept = "" if each.better else " (the stored source ranks higher)"
    ours = each.stored_source.name.lower().replace("_", " ")
    theirs = each.other_source.name.lower().replace("_", " ")
    return f"{format_minute(each.open_time)}: stored ({ours}) / {theirs}: {values}{kept}"


def _as_json(found: Sequence[Findings]) -> dict[str, object]:
    return {
        "clean": all(findings.clean for findings in found),
        "symbols": [
            {
                "symbol": findings.symbol,
                "clean": findings.clean,
                "minutes": findings.minutes,
                "certified_minutes": findings.certified,
                "faulty_minutes": findings.faulty,
                "faults": [{"start": f.start, "end": f.end, "what": f.what} for f in findings.faults],
                "files": findings.files,
                "compared_with_archive": findings.by_archive,
                "compared_with_rest": findings.by_rest,
                "differing": findings.differing,
                "repaired": findings.repaired,
                "damaged_minutes": findings.damaged.minutes,
                "restored": findings.restored.minutes,
                "lost": findings.lost,
                "archive_defects": findings.defects,
                "replaced_files": findings.replaced,
                "differences": [
                    {
                        "open_time": each.open_time,
                        "stored_source": each.stored_source.name.lower(),
                        "other_source": each.other_source.name.lower(),
                        "values": {name: list(pair) for name, pair in each.values.items()},
                    }
                    for each in findings.differences
                ],
                "not_compared": findings.unasked,
            }
            for findings in found
        ],
    }
