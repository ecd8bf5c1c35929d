"""Checks signed days of candles against the exchange's own files. Standard library only; see docs/proof.md.

python3 verify_proof.py FOLDER          every signed day, with the files of https://data.binance.vision
python3 verify_proof.py FOLDER --day 2026-02-01 --symbol BTCUSDT --archive FOLDER_OR_URL --key key.pub
python3 verify_proof.py BTCUSDT.json    one leaf with its inclusion path and head (feeder-tui proof show)
``ssh-keygen -Y verify`` checks the signatures, where it is there; all the rest is recomputed here.
"""

import argparse
import functools
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import zipfile
from collections import Counter
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

_FIELDS = "state open high low close volume quote_volume trades taker_buy_volume taker_buy_quote_volume"
_COLUMNS = (1, 2, 3, 4, 5, 7, 8, 9, 10)  # where a line of the exchange has them, from open on


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _node(left: str, right: str) -> str:
    return _sha256(b"\1" + bytes.fromhex(left) + bytes.fromhex(right))


def _root(hashes: list[str]) -> str:
    """The Merkle tree hash of RFC 6962, 2.1, of the hashes of leaves."""
    if len(hashes) < 2:
        return "".join(hashes)
    half = 1 << (len(hashes) - 1).bit_length() - 1
    return _node(_root(hashes[:half]), _root(hashes[half:]))


def _number(value: float) -> str:
    """The shortest decimal that is this double, without exponent and trailing zeros."""
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _lines(zipped: bytes, leaf: dict[str, Any]) -> tuple[list[bytes], int]:
    """The canonical lines of a leaf's day, and how many of them the leaf has otherwise than the zip."""
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    midnight = int(datetime.fromisoformat(leaf["day"] + "T00:00:00+00:00").timestamp()) // 60
    lines = [f"{i // 60:02}{i % 60:02},m,,,,,,,,," for i in range(1440)]
    for row in (line.split(",") for line in text.splitlines() if line[:1].isdigit()):
        at = int(row[0]) // (60_000_000 if len(row[0]) > 14 else 60_000) - midnight  # or in microseconds
        if 0 <= at < 1440:
            o, h, low, c, v, q, n, tb, tq = (float(row[i]) for i in _COLUMNS)
            if leaf["market"] == "coinm":  # contracts and base coins become base coins and quote asset
                size = float(leaf["contract_size"])
                v, q, tb, tq = q, v * size, tq, tb * size
            numbers = ",".join(map(_number, (o, h, low, c, v, q, n, tb, tq)))
            lines[at] = f"{lines[at][:4]},{'p' if n else 'q'},{numbers}"
    in_zip = list(lines)
    for start, end, rest in leaf.get("other", []):
        lines[start:end] = [f"{line[:4]},{rest}" for line in lines[start:end]]
    return [line.encode() for line in lines], sum(map(str.__ne__, lines, in_zip))


def _differing(lines: list[bytes], locator: str) -> str:
    """Names the minutes and fields whose digests (four hex digits each) are not those of the locator."""
    columns = list(zip(*(line.split(b",") for line in lines), strict=True))[1:]
    parts = [lines[60 * h : 60 * h + 60] for h in range(24)] + [lines[m::60] for m in range(60)]
    digests = [_sha256(b"\n".join(part) + b"\n")[:4] for part in [*parts, *columns]]
    odd = [i for i, digest in enumerate(digests) if digest != locator[4 * i : 4 * i + 4]]
    times = [f"{h:02}:{m - 24:02}" for h in odd if h < 24 for m in odd if 24 <= m < 84]
    more = f" and at most {len(times) - 8} others" if len(times) > 8 else ""
    fields = [name for i, name in enumerate(_FIELDS.split()) if 84 + i in odd]
    return f"minute {', '.join(times[:8])}{more}, field {', '.join(fields)}" if odd else ""


@functools.lru_cache(4)
def _read(url: str) -> bytes:
    return bytes(urllib.request.urlopen(url, timeout=60).read())


def _leaf_faults(leaf: dict[str, Any], base: str) -> tuple[list[str], int]:
    """What of a leaf does not agree with the zip and its CHECKSUM, and how many minutes it has otherwise."""
    archive, name = leaf["sources"]["archive"], urllib.parse.quote(leaf["symbol"], safe="")
    cycle, period = ("monthly", leaf["day"][:7]) if "/monthly/" in archive["path"] else ("daily", leaf["day"])
    try:
        folder = {"usdm": "futures/um", "coinm": "futures/cm", "spot": "spot"}[leaf["market"]]
        path = f"/data/{folder}/{cycle}/klines/{name}/1m/{name}-1m-{period}.zip"
        zipped, checksum = _read(base + path), _read(base + path + ".CHECKSUM").split()[:1]
        digest, stated = _sha256(zipped), archive["checksum"].split() or [archive["sha256"]]
        lines, otherwise = _lines(zipped, leaf)
        where, counts = _differing(lines, leaf["locator"]), Counter(line[5:6].decode() for line in lines)
        fits = {
            "field sources.archive.path is not that of this symbol and day": archive["path"] == path,
            f"field sources.archive.sha256 is not that of the zip, {digest}": archive["sha256"] == digest,
            "the zip's SHA-256 is not the one in the CHECKSUM beside it": checksum == [digest.encode()],
            "field sources.archive.checksum has another SHA-256": stated[0] == archive["sha256"],
            f"leaf and zip differ: {where}": not where,
            "field canonical is not the SHA-256": _sha256(b"\n".join([*lines, b""])) == leaf["canonical"],
            "field counts is not that of these minutes": counts == leaf["counts"],
        }
        return [fault for fault, fit in fits.items() if not fit], otherwise
    except Exception as error:  # whatever a wrong file or leaf may lead to
        return [f"its zip or CHECKSUM cannot be used: {error!r}"], 0


def _signature_faults(head: bytes, signature: bytes, key: str) -> list[str]:
    """Why ``ssh-keygen`` does not accept a signature; empty where it does, or is not there."""
    if not shutil.which("ssh-keygen"):
        return []
    with tempfile.TemporaryDirectory() as scratch:
        signers, signed = Path(scratch, "signers"), Path(scratch, "sig")
        signers.write_text(f"feeder-tui {key}" if key.startswith("ssh-") else key)
        signed.write_bytes(signature)
        command = ["ssh-keygen", "-Y", "verify", "-I", "feeder-tui", "-n", "feeder-tui-proof"]
        done = subprocess.run([*command, "-f", signers, "-s", signed], input=head, capture_output=True)
    return [f"signature: {(done.stderr or b'of another key').decode().strip()}"] * bool(done.returncode)


def _chain(folder: Path, key: str) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """Checks all heads in their order: what is wrong, their hashes, the last leaf of each symbol and day."""
    wrong, hashes, number, time = list[str](), ["0" * 64], 0, ""
    seen, found = set[str](), dict[str, dict[str, Any]]()
    for home in sorted(path.parent for path in folder.glob("*/head.json")):
        try:
            raw, lines = (home / "head.json").read_bytes(), (home / "leaves.txt").read_bytes().splitlines()
            head, faults = json.loads(raw), _signature_faults(raw, (home / "head.json.sig").read_bytes(), key)
            leaves = [json.loads(line[65:]) for line in lines]
            now = [_sha256(b"\0" + line[65:]) for line in lines]
            changed = [i for i, line in enumerate(lines) if line[:64].decode() != now[i]]
            faults += [f"the leaf of {leaves[i]['symbol']} is not the one that was signed" for i in changed]
            replaced, days = {item["leaf"] for item in head["replaces"]}, {leaf["day"] for leaf in leaves}
            fits = {
                "number": head["number"] == number + 1, "day": days | {home.name[7:]} == {head["day"]},
                "previous": head["previous"] == hashes[-1], "root": head["root"] == _root(now),
                "time": time <= head["time"] > head["day"] + "T24", "leaves": head["leaves"] == len(lines),
                "replaces": replaced <= seen and len(replaced) == sum(x["revision"] > 1 for x in leaves),
            }  # fmt: skip
            faults += [f"field {name} does not fit: {head[name]}" for name in fits if not fits[name]]
            hashes, number, time, seen = [*hashes, _sha256(raw)], head["number"], head["time"], seen | {*now}
            found |= {f"{leaf['day']} {leaf['market']} {leaf['symbol']}": leaf for leaf in leaves}
        except Exception as error:
            faults = [f"it cannot be used: {error!r}"]
        wrong += [f"head {home.name}: {fault}" for fault in faults]
    return wrong, hashes[1:], [found[name] for name in sorted(found)]


def _single(proof: dict[str, Any], key: str) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """Checks a leaf with its inclusion path and head; gives what :func:`_chain` gives."""
    head, leaf = proof["head"].encode(), proof["leaf"].encode()
    found, wrong = _sha256(b"\0" + leaf), _signature_faults(head, proof["signature"].encode(), key)
    for side, other in proof["path"]:
        found = _node(other, found) if side == "left" else _node(found, other)
    if found != json.loads(head)["root"]:
        wrong.append("the inclusion path does not lead from the leaf to the root of the head")
    return wrong, [_sha256(head)], [json.loads(leaf)]


def main(arguments: list[str] | None = None) -> int:
    """Checks what the command line names. Exit codes: 0 all of it holds, 1 not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("proof", type=Path)
    for name in ("--day", "--symbol", "--key", "--known", "--archive"):
        parser.add_argument(name)
    given = parser.parse_args(arguments)
    base = given.archive or "https://data.binance.vision"
    base = base if "://" in base else Path(base).absolute().as_uri()
    proof = json.loads(given.proof.read_bytes()) if given.proof.is_file() else {}
    key = proof["key"] if proof else (given.proof / "allowed_signers").read_text()
    key = Path(given.key).read_text() if given.key else key
    wrong, hashes, leaves = _single(proof, key) if proof else _chain(given.proof, key)
    if given.known and given.known not in hashes:
        wrong.append(f"head {given.known} is missing: heads were taken away or changed since it was seen")
    checked, counted = "signatures," if shutil.which("ssh-keygen") else "(no ssh-keygen: no signatures),", 0
    print(*wrong, sep="\n", end="\n" * bool(wrong))
    for leaf in leaves:
        if given.day in (None, leaf["day"]) and given.symbol in (None, leaf["symbol"]):
            archive = leaf["sources"]["archive"]
            faults, otherwise = _leaf_faults(leaf, base) if archive else ([], 0)
            text = f"its 1,440 minutes are those of {archive['path']}" if archive else "no file to compare"
            text += f", but for {otherwise} that the leaf has otherwise" * bool(otherwise)
            print(f"{leaf['market']}/{leaf['symbol']} {leaf['day']}: {'; '.join(faults) or text}", flush=True)
            wrong, counted = wrong + faults, counted + 1
    print(f"DOES NOT HOLD, {len(wrong)} faults" if wrong else "holds", end=": ")
    print(f"{checked} {len(hashes)} heads, {counted} leaves; last head {(hashes or ['none'])[-1]}")
    return 1 if wrong or not counted else 0


if __name__ == "__main__":
    sys.exit(main())
