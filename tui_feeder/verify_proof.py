"""Checks signed days of candles against the exchange's own files, as docs/proof.md has it."""
import argparse, collections, datetime, decimal, functools, io, itertools, json, multiprocessing.pool, re
import shutil, signal, subprocess, sys, tempfile, zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib import parse, request
MOST = 64 << 20  # bytes of a file, an answer or a zip's file: what has more is refused
SIGNATURE = re.compile(b"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=]+\n)+-----END SSH SIGNATURE-----\n")
LONGEST = 600.0  # s that an answer may take; it may stand still for a tenth of that
_FIELDS = "state open high low close volume quote_volume trades taker_buy_volume taker_buy_quote_volume"
# The fields of a head and of a leaf, each with the form of its JSON, and the words in these forms.
_HEAD, _LEAF, _WORDS = (dict(re.findall(r"(\S+) (\S+)", table)) for table in (r"""
version 1 feeder TEXT number WHOLE day "DAY" time "TIME" leaves WHOLE root HASH previous HASH
replaces \[({"leaf":HASH,"name":TEXT,"reason":TEXT},?)*\]""", r"""
version 1 feeder TEXT market "(usdm|spot|coinm)" symbol "(?!\.\.?")([^\0-\x20"/\\\x7f]|\\"){1,64}" day "DAY"
revision WHOLE canonical HASH locator "[0-9a-f]{376}" counts {("[mnpqu]":WHOLE,?)+} contract_size ("NUMBER")?
sources {"archive":(null|FILE),"minutes":{("(archive|rest|stream)":WHOLE,?)*},"rest":\[(\[RUN,"TIME"\],?)*\]}
other (\[(\[RUN,"([num],{9}|[pq](,DECIMAL){6},-?\d+(,DECIMAL){2})"\],?)+\])?""", r"""
FILE {"checksum":TEXT,"etag":TEXT,"last_modified":TEXT,"path":TEXT,"read":"TIME","sha256":HASH}
TEXT "([^"\\]|\\.)*+" HASH "[0-9a-f]{64}" WHOLE [1-9]\d{0,14} RUN \d{1,4},\d{1,4}
TIME DAYT([01]\d|2[0-3])(:[0-5]\d){2}Z DAY (?!NEVER)(19[7-9]|2[01]\d)\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])
NEVER ....-(02-30|(0[2469]|11)-31)|..(.[13579]|[02468][26]|[13579][048])-02-29|2100-02-29
NUMBER DECIMAL([eE][-+]?\d+)? DECIMAL -?(0|[1-9]\d*)(\.\d+)?"""))
_CANDLE = re.compile(rb"\d{13}(\d{3})?[ \t]*(,[ \t]*-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?[ \t]*){11}")
_Stay = type("_Stay", (request.HTTPRedirectHandler,), {"redirect_request": lambda *_: None})  # goes nowhere
def _why(error: Exception) -> str: return f"{type(error).__name__}: {error}"[:400]  # cut: it may quote a file
@functools.lru_cache(4)
def _read(url: str) -> bytes:
    """Reads a regular file or an answer: in a thread, which is left alone when it takes too long."""
    if url.startswith("file:") and not Path(request.url2pathname(url[5:])).is_file():
        raise ValueError(f"there is no such regular file: {url}")
    opened = functools.partial(request.build_opener(_Stay).open, url, timeout=LONGEST / 10)
    with multiprocessing.pool.ThreadPool(1) as threads:
        try: content = threads.apply_async(lambda: bytes(opened().read(MOST + 1))).get(LONGEST)
        except Exception as error: raise ValueError(f"{_why(error)}: {url}") from error
    if len(content) > MOST: raise ValueError(f"there are more than {MOST} bytes: {url}")
    return content
def _parse(raw: bytes, forms: dict[str, str]) -> dict[str, Any]:
    """Reads a head or leaf, of which there is one way to write it: keys sorted, each once, no blanks."""
    found: dict[str, Any] = json.loads(raw)
    write = functools.partial(json.dumps, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    if write(found).encode() != raw: raise ValueError("it is not in the one form that docs/proof.md has")
    for name in {**forms, **found}:
        form = forms.get(name, r"(TEXT|[][{}:,\d-])*+" if forms is _LEAF else "")  # a leaf may have others
        form = functools.reduce(lambda form, word: form.replace(*word), _WORDS.items(), form)
        text = write(found[name]) if name in found else ""
        if not re.fullmatch(form, text, re.ASCII): raise ValueError(f"field {name} is {text[:60] or None}")
    return found
def _parse_leaf(raw: bytes) -> dict[str, Any]:
    """Reads a leaf, whose fields fit each other."""
    size, other = float((leaf := _parse(raw, _LEAF)).get("contract_size", 1)), leaf.get("other", [])
    counts, (archive, minutes, rest) = leaf["counts"], leaf["sources"].values()
    fits = [sum(counts.values()) == 1440, sum(minutes.values()) == counts.get("p", 0) + counts.get("q", 0)]
    fits += [("contract_size" in leaf) == (leaf["market"] == "coinm"), 0 < size < float("inf")]
    fits += [start < end <= 1440 for start, end, _ in [*other, *rest]] + [archive is not None or not other]
    fits += [before[1] <= run[0] for before, run in itertools.pairwise(other)]
    if not all(fits): raise ValueError("fields contract_size, counts, other, sources do not fit")
    return leaf
def _rest(*row: float) -> str:
    """What a line has after its time: p, or q without trades, and shortest decimals, no exponent, no -0."""
    return ",".join(["pq"[not row[6]], *(f"{decimal.Decimal(repr(x + 0.0)).normalize():f}" for x in row)])
def _lines(zipped: bytes, leaf: dict[str, Any]) -> tuple[list[str], int]:
    """The canonical lines of a leaf's day, and how many of them the leaf has otherwise than the zip."""
    files = (archive := zipfile.ZipFile(io.BytesIO(zipped))).infolist()
    if len(files) != 1: raise ValueError(f"the zip has {len(files)} files, not one")
    if files[0].compress_type not in (0, 8): raise ValueError("its file is neither stored nor deflated")
    if len(text := archive.open(files[0]).read(MOST + 1)) > MOST: raise ValueError("its file is too large")
    rows = text.replace(b"\r", b"").split(b"\n")
    midnight = int(datetime.datetime.fromisoformat(leaf["day"] + "T00:00:00+00:00").timestamp()) * 1000
    first, after, rests = b"%013d" % midnight, b"%013d" % (midnight + 86_400_000), ["m,,,,,,,,,"] * 1440
    for row in (row.split(b",") for row in rows if first <= row < after and _CANDLE.fullmatch(row)):
        start, (o, h, low, c, v, end, q, n, tb, tq, ignored) = int(row[0][:13]), map(float, row[1:])
        if leaf["market"] == "coinm":  # contracts and base coins become base coins and quote asset
            v, q, tb, tq = q, v * (size := float(leaf["contract_size"])), tq, tb * size
        lasts = (end // 1000 if 1e14 <= end < 1e300 else end) - start  # from ms, or µs
        good = (1 if leaf["market"] == "spot" else 59_999) <= lasts <= 59_999 and start % 60_000 == n % 1 == 0
        if good and abs(n) < 1 << 53 and max(map(abs, (o, h, low, c, v, q, tb, tq, ignored))) < float("inf"):
            rests[(start - midnight) // 60_000] = _rest(o, h, low, c, v, q, n, tb, tq)
    in_zip = list(rests)
    for start, end, x in leaf.get("other", []):
        rests[start:end] = [x] * (end - start)
        if x[0] in "pq" and x != _rest(*map(float, x[2:].split(","))): raise ValueError(f"field other: {x}")
    return [f"{i // 60:02}{i % 60:02},{x}" for i, x in enumerate(rests)], sum(map(str.__ne__, rests, in_zip))
def _leaf_faults(leaf: dict[str, Any], base: str) -> tuple[list[str], str]:
    """What of a leaf does not agree with the zip and its CHECKSUM, and what does."""
    if (archive := leaf["sources"]["archive"]) is None: return [], "no file to compare"
    name, folders = parse.quote(leaf["symbol"], safe=""), {"usdm": "futures/um", "coinm": "futures/cm"}
    kind, day = (("daily", leaf["day"]), ("monthly", leaf["day"][:7]))["/monthly/" in archive["path"]]
    path = f"/data/{folders.get(leaf['market'], 'spot')}/{kind}/klines/{name}/1m/{name}-1m-{day}.zip"
    zipped, checksum = _read(base + path), _read(f"{base}{path}.CHECKSUM").decode().lower().split()[:1]
    digest, stated = sha256(zipped).hexdigest(), archive["checksum"].lower().split()[:1]
    try: lines, otherwise = _lines(zipped, leaf)
    except Exception as error: raise ValueError(f"{_why(error)}: {path}") from error
    columns = list(zip(*(line.split(",") for line in lines), strict=True))[1:]
    parts = [*(lines[60 * h : 60 * h + 60] for h in range(24)), *(lines[m::60] for m in range(60)), *columns]
    *digests, canonical = (sha256("\n".join([*part, ""]).encode()).hexdigest() for part in [*parts, lines])
    odd = [i for i, found in enumerate(digests) if found[:4] != leaf["locator"][4 * i : 4 * i + 4]]
    times = [f"{h:02}:{m - 24:02}" for h in odd if h < 24 for m in odd if 24 <= m < 84]
    fields = [name for i, name in enumerate(_FIELDS.split(), 84) if i in odd]
    fits = {
        "field sources.archive.path is not that of this symbol and day": archive["path"] == path,
        f"field sources.archive.sha256 is not that of the zip, {digest}": archive["sha256"] == digest,
        "the zip's SHA-256 is not the one in the CHECKSUM beside it": checksum == [digest],
        "field sources.archive.checksum has another SHA-256": stated in ([], [archive["sha256"]]),
        f"leaf and zip differ: minute {', '.join(times[:8])}, field {', '.join(fields)}": not odd,
        "field canonical is not the SHA-256 of its minutes": canonical == leaf["canonical"],
        "field counts is not that of its minutes": collections.Counter(columns[0]) == leaf["counts"],
    }
    but = f", but for {otherwise} that the leaf has otherwise" * bool(otherwise)
    return [fault for fault in fits if not fits[fault]], f"its 1,440 minutes are those of {path}{but}"
def _signature_faults(head: bytes, signature: bytes, key: bytes) -> list[str]:
    """Why ``ssh-keygen`` does not accept a signature; empty where it does, or is not there."""
    if not SIGNATURE.fullmatch(signature): return ["signature: it is not in the form of one"]
    if not shutil.which("ssh-keygen"): return []
    command = ["ssh-keygen", "-Y", "verify", "-I", "feeder-tui", "-n", "feeder-tui-proof", "-s", "signature"]
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "signers").write_bytes(b"feeder-tui " * key.startswith(b"ssh-") + key)
        Path(scratch, "signature").write_bytes(signature)
        done = subprocess.run([*command, "-f", "signers"], cwd=scratch, input=head, capture_output=True)
    text = done.stderr.decode(errors="replace").strip()[:200] or "it is of another key"
    return [f"signature: {text}"] if done.returncode else []
def _root(level: list[str]) -> str:
    """The Merkle tree hash of RFC 6962, 2.1: nodes are hashed in pairs; a last one goes up."""
    pairs = itertools.zip_longest(level[::2], level[1::2], fillvalue="")
    above = [sha256(b"\1" + bytes.fromhex(a + b)).hexdigest() if b else a for a, b in pairs]
    return _root(above) if len(level) > 1 else "".join(level)
def _chain(folder: Path, key: bytes) -> tuple[list[str], list[str], dict[str, Any]]:
    """Checks all heads in their order: what is wrong, their hashes, the last leaf of each symbol and day."""
    wrong, hashes, number, was, last, whole = list[str](), ["0" * 64], 0, "", dict[str, Any](), True
    homes = [x for x in folder.iterdir() if re.fullmatch(r"\d{6,}-\d{4}-\d\d-\d\d", x.name, re.ASCII)]
    for home in sorted(homes, key=lambda path: (len(path.name), path.name)):
        faults, leaves, now, at, number = list[str](), dict[str, Any](), list[str](), "head.json", number + 1
        try:
            hashes.append(sha256(raw := _read(f"{home.as_uri()}/{at}")).hexdigest())
            head, at = _parse(raw, _HEAD), "head.json.sig"
            faults, at = _signature_faults(raw, _read(f"{home.as_uri()}/{at}"), key), "leaves.txt"
            for line in _read(f"{home.as_uri()}/{at}").splitlines(keepends=True):
                now.append(sha256(b"\0" + line[65:-1]).hexdigest())
                at, signed = f"leaves.txt, line {len(now)}", f"{now[-1]} \n".encode() == line[:65] + line[-1:]
                if not signed: faults.append(f"{at} is not the leaf that was signed")
                leaf = _parse_leaf(line[65:-1]) | {"hash": now[-1]}
                of = f"{leaf['market']}/{leaf['symbol']} {leaf['day']}"
                if of <= max(leaves, default="") or leaf["day"] != head["day"]:
                    faults.append(f"{at}, {of}, is not sorted, or there twice, or of another day")
                leaves[of] = leaf
            fits: dict[str, Any] = {"number": int(home.name[:-11]) if head["number"] == number else number}
            fits |= {"leaves": len(now), "time": max(head["time"], was, head["day"] + "T24")}
            fits |= {"day": home.name[-10:], "root": _root(now)} | ({"previous": hashes[-2]} if whole else {})
            faults += [f"field {x} does not fit: {head[x]}, not {y}" for x, y in fits.items() if head[x] != y]
            steps = {x["revision"] - last.get(of, {"revision": 0})["revision"] for of, x in leaves.items()}
            olds = sorted((item["leaf"], f"{item['name']} {head['day']}") for item in head["replaces"])
            if whole and (steps != {1} or olds != sorted((last[x]["hash"], x) for x in leaves if x in last)):
                faults.append(f"field replaces does not fit: {head['replaces']}"[:200])
            number, was, last = int(home.name[:-11]), head["time"], last | leaves
        except Exception as error: faults, whole = [*faults, f"{at} cannot be used: {_why(error)}"], False
        wrong += [f"head {home.name}: {fault}" for fault in faults]
    return wrong, hashes[1:], last
def _single(proof: dict[str, Any], key: bytes) -> tuple[list[str], list[str], dict[str, Any]]:
    """Checks a leaf with its inclusion path and head; gives what :func:`_chain` gives."""
    raw, leaf = proof["head"].encode(), _parse_leaf(proof["leaf"].encode())
    head, node = _parse(raw, _HEAD), sha256(b"\0" + proof["leaf"].encode()).hexdigest()
    for side, other in proof["path"]:
        node = sha256(b"\1" + bytes.fromhex({"left": other + node, "right": node + other}[side])).hexdigest()
    wrong = ["the inclusion path does not lead from the leaf to the root of the head of its day"]
    wrong *= (node, leaf["day"]) != (head["root"], head["day"])
    wrong += _signature_faults(raw, proof["signature"].encode(), key)
    return wrong, [sha256(raw).hexdigest()], {f"{leaf['market']}/{leaf['symbol']} {leaf['day']}": leaf}
def main(arguments: list[str] | None = None) -> int:
    """Checks what the command line names. Exit codes: 0 all of it holds, 1 not."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("proof", "--day", "--symbol", "--key", "--known", "--archive"):
        parser.add_argument(name, default="https://data.binance.vision" if name == "--archive" else None)
    given, texts = parser.parse_args(arguments), list[str]()
    path = Path(given.proof).absolute()
    base = given.archive if "://" in given.archive else Path(given.archive).absolute().as_uri()
    try:
        proof = json.loads(_read(path.as_uri())) if path.is_file() else {}
        signers = path / "allowed_signers" if given.key is None else Path(given.key).absolute()
        key = proof["key"].encode() if proof and given.key is None else _read(signers.as_uri())
        if b"ssh-ed25519 " not in key: raise ValueError(f"no public key (as in a file .pub) is in {signers}")
        wrong, hashes, leaves = _single(proof, key) if proof else _chain(path, key)
    except Exception as x: sys.exit(f"{path} or its allowed_signers or --key cannot be used: {_why(x)}")
    wrong += [f"head {given.known} is missing, or was changed"] * (given.known not in [None, *hashes])
    print(*(fault.encode("unicode_escape").decode() for fault in wrong), sep="\n", end="\n" * bool(wrong))
    for name, leaf in sorted(leaves.items()):
        if given.day in (None, leaf["day"]) and given.symbol in (None, leaf["symbol"], name[:-11]):
            try: faults, text = _leaf_faults(leaf, base.rstrip("/"))
            except Exception as x: faults, text = [f"its leaf, zip or CHECKSUM cannot be used: {_why(x)}"], ""
            print(f"{name}: {'; '.join(faults) or text}".encode("unicode_escape").decode(), flush=True)
            wrong, texts = wrong + faults, [*texts, text]
    word = f"DOES NOT HOLD, {len(wrong)} fault(s)" if wrong else "holds" if texts else "no leaf"
    signed = "signatures" if shutil.which("ssh-keygen") else "(no ssh-keygen: no signatures)"
    counts = f"{len(texts)} leaves, {texts.count('no file to compare')} without a file"
    print(f"{word}: {signed}, {len(hashes)} heads, {counts}; last head", (hashes or ["none"])[-1], flush=True)
    return 1 if wrong or not texts else 0
if __name__ == "__main__":
    for x in (signal.SIGINT, getattr(signal, "SIGPIPE", signal.SIGINT)): signal.signal(x, signal.SIG_DFL)
    sys.exit(main())
