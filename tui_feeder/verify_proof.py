"""Checks signed days of candles against the exchange's own files. Standard library only; see docs/proof.md.

python3 verify_proof.py FOLDER [--day 2026-02-01] [--symbol BTCUSDT] [--archive FOLDER_OR_URL] [--key key.pub]
python3 verify_proof.py BTCUSDT.json    one leaf with its inclusion path and head (feeder-tui proof show)
``ssh-keygen -Y verify`` checks the signatures, where it is there; all the rest is recomputed here.
"""

import argparse
import functools
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib import parse, request

_FIELDS = "state open high low close volume quote_volume trades taker_buy_volume taker_buy_quote_volume"
_CANDLE = re.compile(rb"\d{13}(\d{3})?(,[ \t]*-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?[ \t]*){11}")
_read = functools.lru_cache(4)(lambda url: request.urlopen(url, timeout=60).read())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _root(hashes: list[str]) -> str:
    """The Merkle tree hash of RFC 6962, 2.1, of the hashes of leaves."""
    if len(hashes) < 2:
        return "".join(hashes)
    half = 1 << (len(hashes) - 1).bit_length() - 1
    return _sha256(b"\1" + bytes.fromhex(_root(hashes[:half]) + _root(hashes[half:])))


def _rest(*numbers: float) -> str:
    """What a line has after its time: numbers as shortest decimals, without exponent and sign of a zero."""
    texts = [format(Decimal(repr(number + 0.0)), "f") for number in numbers]
    texts = [text.rstrip("0").rstrip(".") if "." in text else text for text in texts]
    return ",".join(["p" if numbers[6] else "q", *texts])  # the seventh is that of trades


def _lines(zipped: bytes, leaf: dict[str, Any]) -> tuple[list[bytes], int]:
    """The canonical lines of a leaf's day, and how many of them the leaf has otherwise than the zip."""
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        (rows,) = (archive.read(name).replace(b"\r", b"").split(b"\n") for name in archive.namelist())
    midnight = int(datetime.fromisoformat(leaf["day"] + "T00:00:00+00:00").timestamp()) * 1000
    first, after = b"%d" % midnight, b"%d" % (midnight + 86_400_000)
    lines, last = [f"{i // 60:02}{i % 60:02},m,,,,,,,,," for i in range(1440)], 0
    for row in (row.split(b",") for row in rows if first <= row < after and _CANDLE.fullmatch(row)):
        start, end = (int(float(row[i])) // (1000 if len(row[i]) > 14 else 1) for i in (0, 6))  # from µs
        o, h, low, c, v, q, n, tb, tq = map(float, row[1:6] + row[7:11])
        if leaf["market"] == "coinm":  # contracts and base coins become base coins and quote asset
            v, q, tb, tq = q, v * (size := float(leaf["contract_size"])), tq, tb * size
        at, least = (start - midnight) // 60_000, 1 if leaf["market"] == "spot" else 59_999
        if least <= end - start <= 59_999 and start % 60_000 == n % 1 == 0:
            lines[at] = f"{lines[at][:4]},{_rest(o, h, low, c, v, q, n, tb, tq)}"
    in_zip = list(lines)
    for start, end, rest in leaf.get("other", []):
        ok = (rest[1:] == "," * 9 and rest[0] in "num") or rest == _rest(*map(float, rest[2:].split(",")))
        if not (ok and last <= start < end <= 1440):
            raise ValueError(f"field other has {start}, {end}, {rest}")
        lines[start:end], last = [f"{line[:4]},{rest}" for line in lines[start:end]], end
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
    return f"minute {', '.join(times[:8])}{more}, field {', '.join(fields)}" if odd else locator[376:]


def _leaf_faults(leaf: dict[str, Any], base: str) -> tuple[list[str], str]:
    """What of a leaf does not agree with the zip and its CHECKSUM, and what does."""
    try:
        if (archive := leaf["sources"]["archive"]) is None:
            return [], "no file to compare"
        name, month = parse.quote(leaf["symbol"], safe=""), "/monthly/" in archive["path"]
        folder = {"usdm": "futures/um", "coinm": "futures/cm", "spot": "spot"}[leaf["market"]]
        folder += "/monthly/klines" if month else "/daily/klines"
        path = f"/data/{folder}/{name}/1m/{name}-1m-{leaf['day'][: 7 if month else 10]}.zip"
        zipped, checksum = _read(base + path), _read(base + path + ".CHECKSUM").lower().split()[:1]
        digest, stated = _sha256(zipped), archive["checksum"].lower().split() or [archive["sha256"]]
        lines, otherwise = _lines(zipped, leaf)
        where, states = _differing(lines, leaf["locator"]), [line[5:6].decode() for line in lines]
        fits = {
            "field sources.archive.path is not that of this symbol and day": archive["path"] == path,
            f"field sources.archive.sha256 is not that of the zip, {digest}": archive["sha256"] == digest,
            "the zip's SHA-256 is not the one in the CHECKSUM beside it": checksum == [digest.encode()],
            "field sources.archive.checksum has another SHA-256": stated[0] == archive["sha256"],
            f"leaf and zip differ: {where}": not where,
            "field canonical is not the SHA-256": _sha256(b"\n".join([*lines, b""])) == leaf["canonical"],
            "field counts is not that of its minutes": {s: states.count(s) for s in states} == leaf["counts"],
        }
        but = f", but for {otherwise} that the leaf has otherwise" * bool(otherwise)
        return [x for x in fits if not fits[x]], f"its 1,440 minutes are those of {path}{but}"
    except Exception as error:  # whatever a wrong file or leaf may lead to
        return [fault := f"its zip or CHECKSUM cannot be used: {error!r}"], fault


def _signature_faults(head: bytes, signature: bytes, key: str) -> list[str]:
    """Why ``ssh-keygen`` does not accept a signature; empty where it does, or is not there."""
    if not shutil.which("ssh-keygen"):
        return []
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "signers").write_text(f"feeder-tui {key}" if key.startswith("ssh-") else key)
        Path(scratch, "sig").write_bytes(signature)
        command = ["ssh-keygen", "-Y", "verify", "-I", "feeder-tui", "-n", "feeder-tui-proof", "-s", "sig"]
        done = subprocess.run([*command, "-f", "signers"], cwd=scratch, input=head, capture_output=True)
    return [f"signature: {(done.stderr or b'of another key').decode().strip()}"] * bool(done.returncode)


def _chain(folder: Path, key: str) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """Checks all heads in their order: what is wrong, their hashes, the last leaf of each symbol and day."""
    wrong, hashes, number, time = list[str](), ["0" * 64], 0, ""
    found = dict[str, tuple[str, dict[str, Any]]]()  # by name and day the last leaf and its hash
    for home in sorted(folder.glob("[0-9]*-??-??"), key=lambda path: (len(path.name), path.name)):
        try:
            raw, lines = (home / "head.json").read_bytes(), (home / "leaves.txt").read_bytes().splitlines()
            head, faults = json.loads(raw), _signature_faults(raw, (home / "head.json.sig").read_bytes(), key)
            leaves, now = [json.loads(x[65:]) for x in lines], [_sha256(b"\0" + x[65:]) for x in lines]
            changed = [i for i, line in enumerate(lines) if line[:65].decode() != now[i] + " "]
            faults += [f"the leaf of {leaves[i]['symbol']} is not the one that was signed" for i in changed]
            names = [f"{leaf['market']}/{leaf['symbol']} {leaf['day']}" for leaf in leaves]
            old = [found.get(name, ("", {"revision": 0})) for name in names]
            corrected = sorted((old[i][0], name) for i, name in enumerate(names) if old[i][0])
            stated = sorted((item["leaf"], f"{item['name']} {head['day']}") for item in head["replaces"])
            steps = {leaf["revision"] - old[i][1]["revision"] for i, leaf in enumerate(leaves)}
            fits = {
                "number": head["number"] == number + 1, "time": time <= head["time"] > head["day"] + "T24",
                "day": {f"{head['number']:06}-{item['day']}" for item in (head, *leaves)} == {home.name},
                "root": head["root"] == _root(now), "version": {x["version"] for x in (head, *leaves)} == {1},
                "leaves": head["leaves"] == len(lines) and names == sorted({*names}),
                "previous": head["previous"] == hashes[-1], "replaces": stated == corrected and steps == {1},
            }  # fmt: skip
            faults += [f"field {name} does not fit: {head[name]}" for name in fits if not fits[name]]
            hashes, number, time = [*hashes, _sha256(raw)], head["number"], head["time"]
            found |= {name: (now[i], leaves[i]) for i, name in enumerate(names)}
        except Exception as error:
            faults = [f"it cannot be used: {error!r}"]
        wrong += [f"head {home.name}: {fault}" for fault in faults]
    return wrong, hashes[1:], [found[name][1] for name in sorted(found)]


def _single(proof: dict[str, Any], key: str) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """Checks a leaf with its inclusion path and head; gives what :func:`_chain` gives."""
    raw, head, leaf = proof["head"].encode(), json.loads(proof["head"]), json.loads(proof["leaf"])
    node, wrong = _sha256(b"\0" + proof["leaf"].encode()), list[str]()
    for side, other in proof["path"]:
        node = _sha256(b"\1" + bytes.fromhex(other + node if side == "left" else node + other))
    if (node, leaf["day"], leaf["version"], head["version"]) != (head["root"], head["day"], 1, 1):
        wrong.append("the inclusion path does not lead from the leaf to the root of the head of its day")
    return wrong + _signature_faults(raw, proof["signature"].encode(), key), [_sha256(raw)], [leaf]


def main(arguments: list[str] | None = None) -> int:
    """Checks what the command line names. Exit codes: 0 all of it holds, 1 not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("proof", "--day", "--symbol", "--key", "--known", "--archive"):
        parser.add_argument(name, type=Path if name == "proof" else str)
    given = parser.parse_args(arguments)
    base = given.archive or "https://data.binance.vision"
    base = (base if "://" in base else Path(base).absolute().as_uri()).rstrip("/")
    try:
        proof = json.loads(given.proof.read_bytes()) if given.proof.is_file() else {}
        key = proof["key"] if proof else (given.proof / "allowed_signers").read_text()
        key = Path(given.key).read_text() if given.key is not None else key
        wrong, hashes, leaves = _single(proof, key) if proof else _chain(given.proof, key)
    except Exception as error:
        sys.exit(f"{given.proof} or its key cannot be used: {error!r}")
    if given.known not in [None, *hashes]:
        wrong.append(f"head {given.known} is missing: heads were taken away or changed since it was seen")
    checked, alone = "signatures," if shutil.which("ssh-keygen") else "(no ssh-keygen: no signatures),", 0
    print(*wrong, sep="\n", end="\n" * bool(wrong))
    chosen = [x for x in leaves if given.day in (None, x["day"]) and given.symbol in (None, x["symbol"])]
    for leaf in chosen:
        faults, text = _leaf_faults(leaf, base)
        print(f"{leaf['market']}/{leaf['symbol']} {leaf['day']}: {'; '.join(faults) or text}", flush=True)
        wrong, alone = wrong + faults, alone + (text == "no file to compare")
    more = f", {alone} without a file" * bool(alone)
    print(f"DOES NOT HOLD, {len(wrong)} faults" if wrong else "holds" if chosen else "no leaf", end=": ")
    print(f"{checked} {len(hashes)} heads, {len(chosen)} leaves{more}; last head {(hashes or ['none'])[-1]}")
    return 1 if wrong or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
