"""Checks signed days of candles against the exchange's own files; docs/proof.md has the format.

Trusted are Python, ssh-keygen, SHA-256, the key given and the exchange's server; nothing that a proof states.
1. Each head is signed by the key (without --key the folder's own: that shows one signer, not who it is).
2. No head is missing, changed or in another place: number, day, time, and the hash of the head before it.
3. The leaves are those that the head signed, by its Merkle root (RFC 6962), and name those that they replace.
4. The exchange's zip and CHECKSUM of a leaf's symbol and day have the SHA-256 that the leaf states.
5. The zip's 1,440 minutes have the leaf's SHA-256, but for those it states otherwise, which are counted."""
import sys  # and then nothing from the folder of this file, which may be the one that is judged
if __name__ == "__main__" and not getattr(sys.flags, "safe_path", sys.flags.isolated): del sys.path[0]
import argparse, collections, datetime, decimal, functools, io, itertools, json, math, os, re
import shutil, signal, subprocess, tempfile, typing, zipfile
from hashlib import sha256
from pathlib import Path
from urllib import parse, request
MOST = 64 << 20  # bytes of a file, an answer or a zip's file: what has more is refused
_FIELDS = "state open high low close volume quote_volume trades taker_buy_volume taker_buy_quote_volume"
_FOLDERS = {"usdm": "futures/um", "coinm": "futures/cm", "spot": "spot"}
_ROW = re.compile(rb"\d{13}(\d{3})?[ \t]*(,[ \t]*-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?[ \t]*){11}")
_NONE, _OTHER = [x + 9 * "," for x in "mnu"], re.compile(r"[pq](,-?[0-9]+(\.[0-9]+)?){9}")  # of a line
_Stay = type("_Stay", (request.HTTPRedirectHandler,), {"redirect_request": lambda *_: None})  # goes nowhere

@functools.lru_cache(4)
def _read(url: str) -> bytes:
    """Reads a regular file, or what a server has; ConnectionError where it is not to be had whole."""
    try:
        file = Path(request.url2pathname(url[5:])) if url.startswith("file:") else None
        if file and (".." in file.parts or not file.is_file()): raise OSError("there is no such regular file")
        content: bytes = (answer := request.build_opener(_Stay).open(url, timeout=60)).read(MOST + 1)
        if len(content) <= MOST and getattr(answer, "length", None): raise OSError("the answer was cut off")
    except Exception as fault: raise ConnectionError(f"{fault!s:.300}: {url}") from fault
    if len(content) > MOST: raise ValueError(f"there are more than {MOST} bytes: {url}")
    return content

def _parse(raw: bytes) -> dict[str, typing.Any]:
    """Reads a head or leaf: there is one way to write it, so nobody can read something else in its bytes."""
    found: dict[str, typing.Any] = json.loads(raw)
    written = json.dumps(found, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    if written != raw or found["version"] != 1: raise ValueError("it is not of version 1, or in another form")
    return found

def _minute(*values: float) -> str:
    """What a canonical line of nine numbers has after its time; empty if they are not of a minute."""
    if not all(map(math.isfinite, values)) or values[6] % 1 or abs(values[6]) >= 1 << 53: return ""
    shortest = [f"{decimal.Decimal(repr(x + 0.0)).normalize():f}" for x in values]  # 0.0: there is no -0
    return ",".join(["p" if values[6] else "q", *shortest])
def _read_row(row: bytes, leaf: dict[str, typing.Any]) -> tuple[int, str]:
    """The open time (ms) of a row of a zip, and its canonical text; no text where it is not a minute's."""
    o, h, l, c, volume, end, quote, trades, taker, taker_quote, unused = map(float, row.split(b",")[1:])
    if leaf["market"] == "coinm":  # contracts and base coins become base coins and quote asset
        size = float(leaf["contract_size"])
        volume, quote, taker, taker_quote = quote, volume * size, taker_quote, taker * size
        if not 0.99 * l * volume <= quote <= 1.01 * h * volume: raise ValueError("contract_size does not fit")
    start, text = int(row[:13]), _minute(o, h, l, c, volume, quote, trades, taker, taker_quote)
    lasts = (end // 1000 if end >= 1e14 else end) - start  # from ms, or µs
    fits = (1 if leaf["market"] == "spot" else 59_999) <= lasts <= 59_999 and math.isfinite(unused)
    return start, text if fits and start % 60_000 == 0 else ""

def _lines(zipped: bytes, leaf: dict[str, typing.Any]) -> tuple[list[str], int]:
    """The canonical lines of a leaf's day, and how many of them the leaf has otherwise than the zip."""
    midnight = int(datetime.datetime.fromisoformat(leaf["day"] + "T00:00:00+00:00").timestamp()) * 1000
    first, after, texts = b"%013d" % midnight, b"%013d" % (midnight + 86_400_000), _NONE[:1] * 1440
    file, *more = (archive := zipfile.ZipFile(io.BytesIO(zipped))).infolist()
    if more or file.compress_type not in (0, 8): raise ValueError("it is not one file, stored or deflated")
    if len(content := archive.open(file).read(MOST + 1)) > MOST: raise ValueError("its file is too large")
    for row in content.replace(b"\r", b"").split(b"\n"):
        if first <= row < after and _ROW.fullmatch(row):
            start, text = _read_row(row, leaf)
            if text: texts[(start - midnight) // 60_000] = text
    in_zip, before = list(texts), 0
    for start, end, text in leaf.get("other", []):
        good = text in _NONE or (_OTHER.fullmatch(text) and text == _minute(*map(float, text[2:].split(","))))
        if not good or not before <= start < end <= 1440: raise ValueError(f"field other has {start}, {text}")
        texts[start:end], before = [text] * (end - start), end
    return [f"{i // 60:02}{i % 60:02},{x}" for i, x in enumerate(texts)], sum(map(str.__ne__, texts, in_zip))

def _leaf_faults(leaf: dict[str, typing.Any], base: str) -> tuple[list[str], str]:
    """What of a leaf does not agree with the zip and its CHECKSUM, and what does."""
    if (archive := leaf["sources"]["archive"]) is None: return [], "no file to compare"
    name, is_month = parse.quote(leaf["symbol"], safe=""), "/monthly/" in archive["path"]
    kind, day = ("monthly", leaf["day"][:7]) if is_month else ("daily", leaf["day"])
    path = f"/data/{_FOLDERS[leaf['market']]}/{kind}/klines/{name}/1m/{name}-1m-{day}.zip"
    zipped, checksum = _read(base + path), _read(f"{base}{path}.CHECKSUM").decode().lower()
    digest, (lines, otherwise) = sha256(zipped).hexdigest(), _lines(zipped, leaf)
    columns = list(zip(*(line.split(",") for line in lines), strict=True))[1:]
    parts = [*(lines[60 * h : 60 * h + 60] for h in range(24)), *(lines[m::60] for m in range(60)), *columns]
    *digests, canonical = (sha256("\n".join([*part, ""]).encode()).hexdigest() for part in [*parts, lines])
    odd = [i for i, found in enumerate(digests) if found[:4] != leaf["locator"][4 * i : 4 * i + 4]]
    times = [f"{h:02}:{m - 24:02}" for h in odd if h < 24 for m in odd if 24 <= m < 84]
    fields = [name for i, name in enumerate(_FIELDS.split(), 84) if i in odd]
    fits = {
        "field sources.archive.path is not that of this symbol and day": archive["path"] == path,
        f"field sources.archive.sha256 is not that of the zip, {digest}": archive["sha256"] == digest,
        "the zip's SHA-256 is not the one in the CHECKSUM beside it": checksum.split()[:1] == [digest],
        "field canonical is not the SHA-256 of its minutes": (same := canonical == leaf["canonical"]),
        f"leaf and zip differ: minute {', '.join(times[:8])}, field {', '.join(fields)}": same or not odd,
        "field locator is not that of its minutes": not (same and odd),
        "field counts is not that of its minutes": collections.Counter(columns[0]) == leaf["counts"],
    }
    but = f", but for {otherwise} that the leaf has otherwise" if otherwise else ""
    return [fault for fault in fits if not fits[fault]], f"its 1,440 minutes are those of {path}{but}"

def _signature_faults(head: bytes, signature: bytes, key: bytes) -> list[str]:
    """Why ``ssh-keygen`` does not accept a signature; empty where it does, or is not there."""
    if not shutil.which("ssh-keygen"): return []
    command = ["ssh-keygen", "-Y", "verify", "-I", "feeder-tui", "-n", "feeder-tui-proof", "-s", "signature"]
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "signers").write_bytes(b"feeder-tui " * key.startswith(b"ssh-") + key)
        Path(scratch, "signature").write_bytes(signature)
        run = subprocess.run([*command, "-f", "signers"], cwd=scratch, input=head, capture_output=True)
    return [f"signature: {str(run.stderr, 'l1').strip() or 'it is of another key'}"] * bool(run.returncode)

def _root(level: list[str]) -> str:
    """The Merkle tree hash of RFC 6962, 2.1: nodes are hashed in pairs; a last one goes up."""
    pairs = itertools.zip_longest(level[::2], level[1::2], fillvalue="")
    above = [sha256(b"\1" + bytes.fromhex(a + b)).hexdigest() if b else a for a, b in pairs]
    return _root(above) if len(level) > 1 else "".join(level)

def _chain(folder: Path, key: bytes) -> tuple[list[str], list[str], dict[str, typing.Any]]:
    """Checks heads in order, up to one without form: faults, hashes, the last leaf of each symbol and day."""
    wrong, hashes, number, was, last = list[str](), ["0" * 64], 0, "1970", dict[str, typing.Any]()
    homes = [x for x in folder.iterdir() if re.fullmatch(r"\d{6,}-\d{4}-\d\d-\d\d", x.name, re.ASCII)]
    for here, home in sorted((int(x.name[:-11]), x) for x in homes):
        leaves, now, at, of = dict[str, typing.Any](), list[str](), "head.json", f"head {home.name}:"
        try:
            hashes.append(sha256(raw := _read(f"{home.as_uri()}/{at}")).hexdigest())
            head, at = _parse(raw), "head.json.sig"
            faults, at = _signature_faults(raw, _read(f"{home.as_uri()}/{at}"), key), "leaves.txt"
            wrong += [f"{of} {fault}" for fault in faults]
            for line in _read(f"{home.as_uri()}/{at}").splitlines(keepends=True):
                now.append(sha256(b"\0" + line[65:-1]).hexdigest())
                at, signed = f"leaves.txt, line {len(now)}", f"{now[-1]} \n".encode() == line[:65] + line[-1:]
                if not signed: wrong.append(f"{of} {at} is not the leaf that was signed")
                leaf = _parse(line[65:-1]) | {"hash": now[-1]}
                name = f"{leaf['market']}/{leaf['symbol']} {leaf['day']}"
                if name <= max(leaves, default="") or leaf["day"] != head["day"]:
                    wrong.append(f"{of} {at}, {name}, is not sorted, or there twice, or of another day")
                leaves[name] = leaf
            if here > number + 1: wrong.append(f"{of} heads {number + 1} to {here - 1} before it are missing")
            at, time = "head.json", max(head["time"], was, head["day"] + "T24")
            fits = {"number": max(here, number + 1), "day": home.name[-10:], "time": time, "leaves": len(now)}
            fits |= {"root": _root(now), "previous": hashes[-2]}
            odd = [x for x in fits if head[x] != fits[x]]
            wrong += [f"{of} field {x} does not fit: {head[x]}, not {fits[x]}" for x in odd]
            steps = {x["revision"] - last.get(of, {"revision": 0})["revision"] for of, x in leaves.items()}
            olds = sorted((item["leaf"], f"{item['name']} {head['day']}") for item in head["replaces"])
            if steps != {1} or olds != sorted((last[x]["hash"], x) for x in leaves if x in last):
                wrong.append(f"{of} field replaces does not fit: {head['replaces']}"[:200])
            number, was, last = here, head["time"], last | leaves
        except Exception as x: return [*wrong, f"{of} {at} cannot be used: {x!r:.400}"], hashes[1:], last
    return wrong, hashes[1:], last

def _single(proof: dict[str, typing.Any], key: bytes) -> tuple[list[str], list[str], dict[str, typing.Any]]:
    """Checks a leaf with its inclusion path and head; gives what :func:`_chain` gives."""
    raw, leaf, head = proof["head"].encode(), _parse(proof["leaf"].encode()), _parse(proof["head"].encode())
    node = sha256(b"\0" + proof["leaf"].encode()).hexdigest()
    for side, other in proof["path"]:
        node = sha256(b"\1" + bytes.fromhex({"left": other + node, "right": node + other}[side])).hexdigest()
    wrong = _signature_faults(raw, proof["signature"].encode(), key)
    if (node, leaf["day"]) != (head["root"], head["day"]):
        wrong.append("the inclusion path does not lead from the leaf to the root of the head of its day")
    return wrong, [sha256(raw).hexdigest()], {f"{leaf['market']}/{leaf['symbol']} {leaf['day']}": leaf}

def main(arguments: list[str] | None = None) -> int:
    """Checks what is named. Exit codes: 0 all of it holds, 1 not, 3 a server did not answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("proof", "--day", "--symbol", "--key", "--known", "--archive"):
        parser.add_argument(name, default="https://data.binance.vision" if name == "--archive" else None)
    given, texts, unknown = parser.parse_args(arguments), list[str](), 0
    path = Path(os.path.abspath(given.proof))
    base = given.archive if "://" in given.archive else Path(os.path.abspath(given.archive)).as_uri()
    try:
        proof = json.loads(_read(path.as_uri())) if path.is_file() else {}
        signers = path / "allowed_signers" if given.key is None else Path(os.path.abspath(given.key))
        key = proof["key"].encode() if proof and given.key is None else _read(signers.as_uri())
        if b"ssh-ed25519 " not in key: raise ValueError(f"no public key (as in a file .pub) is in {signers}")
        wrong, hashes, leaves = _single(proof, key) if proof else _chain(path, key)
    except Exception as x: sys.exit(f"{path} or its allowed_signers or --key cannot be used: {x!r:.400}")
    if given.known not in [None, *hashes]: wrong.append(f"head {given.known} is missing, or was changed")
    for fault in wrong: print(fault[:600].encode("unicode_escape").decode())
    for name, leaf in sorted(leaves.items()):
        if given.day in (None, leaf["day"]) and given.symbol in (None, leaf["symbol"], name[:-11]):
            try: faults, text = _leaf_faults(leaf, base.rstrip("/"))
            except ConnectionError as x: faults, text, unknown = [], f"could not be checked: {x}", unknown + 1
            except Exception as x: faults, text = [f"leaf, zip or CHECKSUM cannot be used: {x!r:.400}"], ""
            print(f"{name}: {'; '.join(faults) or text}"[:2000].encode("unicode_escape").decode(), flush=True)
            wrong, texts = wrong + faults, [*texts, text]
    signed = "signatures" if shutil.which("ssh-keygen") else "(no ssh-keygen: no signatures)"
    code = 1 if wrong or not texts else 3 if unknown or (given.key and not shutil.which("ssh-keygen")) else 0
    word = f"COULD NOT BE CHECKED, {unknown} leaves" if code == 3 else "holds" if texts else "no leaf"
    word = f"DOES NOT HOLD, {len(wrong)} fault(s)" if wrong else word
    other = sum(map(int, re.findall(r"but for (\d+)", " ".join(texts))))
    counts = f"{len(texts)} leaves, {texts.count('no file to compare')} without a file, {other} otherwise"
    print(f"{word}: {signed}, {len(hashes)} heads, {counts}; last head", (hashes or ["none"])[-1], flush=True)
    return code

if __name__ == "__main__":
    for x in (signal.SIGINT, getattr(signal, "SIGPIPE", signal.SIGINT)): signal.signal(x, signal.SIG_DFL)
    sys.exit(main())
