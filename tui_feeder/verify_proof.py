"""Checks signed days of candles against the exchange's own files, as docs/proof.md has it."""

# python3 verify_proof.py FOLDER or LEAF.json [--day DAY] [--symbol SYMBOL] [--archive URL] [--key FILE.pub]

import argparse
import functools
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
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib import parse, request

MOST = 64 << 20  # bytes that are read of a file, an answer or a zip's file: what is cut has another hash
_LEAF = "canonical counts day feeder locator market revision sources symbol version"
_FIELDS = "state open high low close volume quote_volume trades taker_buy_volume taker_buy_quote_volume"
_CANDLE = re.compile(rb"\d{13}(\d{3})?(,[ \t]*-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?[ \t]*){11}")
_OTHER = re.compile(r"[num],{9}|[pq](,-?\d+(\.\d+)?){6},-?\d+(,-?\d+(\.\d+)?){2}", re.ASCII)
_Stay = type("_Stay", (request.HTTPRedirectHandler,), {"redirect_request": lambda *_: None})  # goes nowhere
_read = functools.lru_cache(4)(lambda url: request.build_opener(_Stay).open(url, timeout=60).read(MOST))


def _parse(raw: bytes) -> dict[str, Any]:
    """Reads a head or leaf, of which there is one way to write it: keys sorted, each once, no blanks."""
    found: dict[str, Any] = json.loads(raw, parse_float=str, parse_constant=str)  # no decimals, no NaN
    if json.dumps(found, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() != raw:
        raise ValueError("it is not written in the one way that docs/proof.md has")
    return found


def _root(hashes: list[str]) -> str:
    """The Merkle tree hash of RFC 6962, 2.1, of the hashes of leaves."""
    half = 1 << max(len(hashes) - 1, 0).bit_length() >> 1  # the greatest power of two below their number
    pair = "".join(_root(part) for part in (hashes[:half], hashes[half:])) if half else ""
    return sha256(b"\1" + bytes.fromhex(pair)).hexdigest() if half else "".join(hashes)


def _rest(*numbers: float) -> str:
    """What a line has after its time: numbers as shortest decimals, without exponent and sign of a zero."""
    texts = [format(Decimal(repr(number + 0.0)).normalize(), "f") for number in numbers]
    return ",".join(["p" if numbers[6] else "q", *texts])  # the seventh is that of trades


def _lines(zipped: bytes, leaf: dict[str, Any]) -> tuple[list[str], int]:
    """The canonical lines of a leaf's day, and how many of them the leaf has otherwise than the zip."""
    (file,) = (archive := zipfile.ZipFile(io.BytesIO(zipped))).infolist()
    rows = archive.open(file).read(MOST).replace(b"\r", b"").split(b"\n")
    midnight = int(datetime.fromisoformat(leaf["day"] + "T00:00:00+00:00").timestamp()) * 1000
    first, after = b"%013d" % midnight, b"%013d" % (midnight + 86_400_000)
    rests, last = ["m,,,,,,,,,"] * 1440, 0
    for row in (row.split(b",") for row in rows if first <= row < after and _CANDLE.fullmatch(row)):
        start, (o, h, low, c, v, end, q, n, tb, tq, ignored) = int(row[0][:13]), map(float, row[1:])
        if leaf["market"] == "coinm":  # contracts and base coins become base coins and quote asset
            v, q, tb, tq = q, v * (size := float(leaf["contract_size"])), tq, tb * size
        lasts = (end // 1000 if 1e14 <= end < 1e300 else end) - start  # from ms, or µs
        good = (1 if leaf["market"] == "spot" else 59_999) <= lasts <= 59_999 and start % 60_000 == n % 1 == 0
        if good and abs(n) < 1 << 53 and max(map(abs, (o, h, low, c, v, q, tb, tq, ignored))) < float("inf"):
            rests[(start - midnight) // 60_000] = _rest(o, h, low, c, v, q, n, tb, tq)
    in_zip = list(rests)
    for start, end, rest in leaf.get("other", []):
        ok = _OTHER.fullmatch(rest) and (rest[0] in "num" or rest == _rest(*map(float, rest[2:].split(","))))
        if not (ok and last <= start < end <= 1440):
            raise ValueError(f"field other has {start}, {end}, {rest}")
        rests[start:end], last = [rest] * (end - start), end
    return [f"{i // 60:02}{i % 60:02},{x}" for i, x in enumerate(rests)], sum(map(str.__ne__, rests, in_zip))


def _leaf_faults(leaf: dict[str, Any], base: str) -> tuple[list[str], str]:
    """What of a leaf does not agree with the zip and its CHECKSUM, and what does."""
    if (archive := leaf["sources"]["archive"]) is None:
        return [], "no file to compare"
    name, month = parse.quote(leaf["symbol"], safe=""), "/monthly/" in archive["path"]
    folder = {"usdm": "futures/um", "coinm": "futures/cm", "spot": "spot"}[leaf["market"]]
    folder += "/monthly/klines" if month else "/daily/klines"
    path = f"/data/{folder}/{name}/1m/{name}-1m-{leaf['day'][: 7 if month else 10]}.zip"
    zipped, checksum = _read(base + path), _read(f"{base}{path}.CHECKSUM").decode().lower().split()[:1]
    digest, stated = sha256(zipped).hexdigest(), archive["checksum"].lower().split()[:1]
    lines, otherwise = _lines(zipped, leaf)
    canonical, states = sha256("\n".join([*lines, ""]).encode()).hexdigest(), [line[5] for line in lines]
    columns, locator = list(zip(*(line.split(",") for line in lines), strict=True))[1:], leaf["locator"]
    parts = [*(lines[60 * h : 60 * h + 60] for h in range(24)), *(lines[m::60] for m in range(60)), *columns]
    digests = [sha256("\n".join([*part, ""]).encode()).hexdigest()[:4] for part in parts]
    odd = [i for i, digest in enumerate(digests) if digest != locator[4 * i : 4 * i + 4]]
    times = [f"{h:02}:{m - 24:02}" for h in odd if h < 24 for m in odd if 24 <= m < 84]
    times[8:] = [f"and at most {len(times) - 8} others"] * (len(times) > 8)
    where = f"minute {', '.join(times)}, field {', '.join(_FIELDS.split()[i - 84] for i in odd if i >= 84)}"
    fits = {
        "field sources.archive.path is not that of this symbol and day": archive["path"] == path,
        f"field sources.archive.sha256 is not that of the zip, {digest}": archive["sha256"] == digest,
        "the zip's SHA-256 is not the one in the CHECKSUM beside it": checksum == [digest],
        "field sources.archive.checksum has another SHA-256": stated in ([], [archive["sha256"]]),
        f"leaf and zip differ: {where}": "".join(digests) == locator,
        "field canonical is not the SHA-256 of its minutes": canonical == leaf["canonical"],
        "field counts is not that of its minutes": {s: states.count(s) for s in states} == leaf["counts"],
    }
    but = f", but for {otherwise} that the leaf has otherwise" * bool(otherwise)
    return [fault for fault in fits if not fits[fault]], f"its 1,440 minutes are those of {path}{but}"


def _signature_faults(head: bytes, signature: bytes, key: bytes) -> list[str]:
    """Why ``ssh-keygen`` does not accept a signature; empty where it does, or is not there."""
    command = ["ssh-keygen", "-Y", "verify", "-I", "feeder-tui", "-n", "feeder-tui-proof", "-s", "signature"]
    if not shutil.which("ssh-keygen"):
        return []
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "signers").write_bytes(b"feeder-tui " * key.startswith(b"ssh-") + key[: 1 << 16])
        Path(scratch, "signature").write_bytes(signature[: 1 << 16])
        done = subprocess.run([*command, "-f", "signers"], cwd=scratch, input=head, capture_output=True)
    return [f"signature: {done.stderr.decode().strip() or 'it is of another key'}"] * bool(done.returncode)


def _chain(folder: Path, key: bytes) -> tuple[list[str], list[str], dict[str, Any]]:
    """Checks all heads in their order: what is wrong, their hashes, the last leaf of each symbol and day."""
    wrong, hashes, number, time, last = list[str](), ["0" * 64], 0, "", dict[str, Any]()
    for home in sorted(folder.glob("[0-9]*-????-??-??"), key=lambda path: (len(path.name), path.name)):
        faults, leaves, now, place = list[str](), dict[str, Any](), list[str](), "head.json"
        try:
            hashes.append(sha256(raw := _read(f"{home.as_uri()}/{place}")).hexdigest())
            head, place = _parse(raw), "head.json.sig"
            faults, place = _signature_faults(raw, _read(f"{home.as_uri()}/{place}"), key), "leaves.txt"
            for line in _read(f"{home.as_uri()}/{place}").splitlines(keepends=True):
                place, leaf = f"leaves.txt, line {len(now) + 1}", _parse(line[65:-1])
                now.append(sha256(b"\0" + line[65:-1]).hexdigest())
                leaves[f"{leaf['market']}/{leaf['symbol']} {leaf['day']}"] = {**leaf, "hash": now[-1]}
                if line[:65] + line[-1:] != f"{now[-1]} \n".encode() or not leaf.keys() >= {*_LEAF.split()}:
                    faults.append(f"the leaf of {leaf['symbol']} is not the one that was signed")
            steps = {x["revision"] - last.get(of, {"revision": 0})["revision"] for of, x in leaves.items()}
            stated = sorted((item["leaf"], f"{item['name']} {head['day']}") for item in head["replaces"])
            corrected = sorted((last[of]["hash"], of) for of in leaves if of in last)
            fits = {
                "number": f"{number + 1:06}-{head['day']}" == home.name and head["number"] == number + 1,
                "day": {name[-10:] for name in leaves} == {head["day"]}, "root": head["root"] == _root(now),
                "leaves": head["leaves"] == len(now) == len(leaves) and [*leaves] == sorted(leaves),
                "previous": head["previous"] == hashes[-2], "replaces": stated == corrected and steps == {1},
                "version": {repr(x["version"]) for x in (head, *leaves.values())} == {"1"},
                "time": time <= head["time"] > head["day"] + "T24",
            }  # fmt: skip
            faults += [f"field {x} does not fit: {head[x]}" for x in head if not fits.get(x, x == "feeder")]
            number, time, last = head["number"], head["time"], last | leaves
        except Exception as error:
            faults.append(f"{place} cannot be used: {error!r}")
        wrong += [f"head {home.name}: {fault}" for fault in faults]
    return wrong, hashes[1:], last


def _single(proof: dict[str, Any], key: bytes) -> tuple[list[str], list[str], dict[str, Any]]:
    """Checks a leaf with its inclusion path and head; gives what :func:`_chain` gives."""
    raw, leaf = proof["head"].encode(), _parse(proof["leaf"].encode())
    head, node = _parse(raw), sha256(b"\0" + proof["leaf"].encode()).hexdigest()
    for side, other in proof["path"]:
        node = sha256(b"\1" + bytes.fromhex(other + node if side == "left" else node + other)).hexdigest()
    wrong = ["the inclusion path does not lead from the leaf to the root of the head of its day"]
    wrong *= (node, leaf["day"], leaf["version"], head["version"]) != (head["root"], head["day"], 1, 1)
    wrong += _signature_faults(raw, proof["signature"].encode(), key)
    return wrong, [sha256(raw).hexdigest()], {f"{leaf['market']}/{leaf['symbol']} {leaf['day']}": leaf}


def main(arguments: list[str] | None = None) -> int:
    """Checks what the command line names. Exit codes: 0 all of it holds, 1 not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("proof", "--day", "--symbol", "--key", "--known", "--archive"):
        parser.add_argument(name, default="https://data.binance.vision" if name == "--archive" else None)
    given, texts = parser.parse_args(arguments), list[str]()
    path = Path(given.proof).absolute()
    base = given.archive if "://" in given.archive else Path(given.archive).absolute().as_uri()
    try:
        proof = json.loads(_read(path.as_uri())) if path.is_file() else {}
        signers = path / "allowed_signers" if given.key is None else Path(given.key).absolute()
        key = proof["key"].encode() if proof and given.key is None else _read(signers.as_uri())
        wrong, hashes, leaves = _single(proof, key) if proof else _chain(path, key)
    except Exception as error:
        sys.exit(f"{given.proof} or its allowed_signers or --key cannot be used: {error!r}")
    wrong += [f"head {given.known} is missing, or was changed"] * (given.known not in [None, *hashes])
    print(*(fault.encode("unicode_escape").decode() for fault in wrong), sep="\n", end="\n" * bool(wrong))
    for name, leaf in sorted(leaves.items()):
        if given.day in (None, leaf["day"]) and given.symbol in (None, leaf["symbol"], name[:-11]):
            try:
                faults, text = _leaf_faults(leaf, base.rstrip("/"))
            except Exception as error:  # whatever a wrong file or leaf may lead to
                faults, text = [f"its leaf, zip or CHECKSUM cannot be used: {error!r}"], ""
            print(f"{name}: {'; '.join(faults) or text}".encode("unicode_escape").decode(), flush=True)
            wrong, texts = wrong + faults, [*texts, text]
    checked = "signatures," if shutil.which("ssh-keygen") else "(no ssh-keygen: no signatures),"
    holds, alone = "holds" if texts else "no leaf", f", {texts.count('no file to compare')} without a file"
    print(f"DOES NOT HOLD, {len(wrong)} faults" if wrong else holds, end=": ")
    print(f"{checked} {len(hashes)} heads, {len(texts)} leaves{alone}; last head {(hashes or ['none'])[-1]}")
    return 1 if wrong or not texts else 0


if __name__ == "__main__":
    sys.exit(main())
