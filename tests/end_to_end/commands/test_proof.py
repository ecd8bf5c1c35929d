"""``feeder-tui proof``: a newcomer's way through its commands, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commanding import command, command_at, recorded
from samples import real_month

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.core.coverage import span
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.exchange import Exchange

FEBRUARY = 1_769_904_000_000  # 2026-02-01
MORNING = FEBRUARY + 3 * DAY_MS + 3 * 60 * MINUTE_MS  # the file of the third day is not there yet
AVAX = "AVAXUSDT"


def live(path: Path, *, wrong: bool = False) -> None:
    """Three days of AVAXUSDT as they were live, one minute of them as it was not."""
    rows = real_month(f"{AVAX}-1m-2026-02")[: 3 * 1440].copy()
    if wrong:
        rows["trades"][700] += 1
    store = Store(path, exchange="a simulated exchange")
    store.put(AVAX, rows, Source.STREAM).result()
    store.set_listed(AVAX, FEBRUARY).result()
    store.close()


async def test_a_newcomers_way_from_the_documents(tmp_path: Path) -> None:
    live(tmp_path / "store", wrong=True)
    storage = ("--storage", "store")
    async with Exchange(recorded(AVAX), SimulatedClock(MORNING)) as exchange:
        made = command("proof", "keygen", "proof_key", cwd=tmp_path)
        assert (made.code, made.err) == (0, "")
        done = await command_at(
            exchange, "proof", "seal", "--key", "proof_key", "--folder", "proof", *storage, cwd=tmp_path
        )
        # The third day waits for its file; a minute of the first is the archive's now.
        assert done.code == 3, done.err
        assert "2026-02-03: AVAXUSDT (no archive file yet), not signed yet" in done.out
        assert "2 leaves and 0 corrections signed, 3 days looked at; proof" in done.out
        fingerprint = made.out.splitlines()[-1]
        assert f"key {fingerprint}" in done.out

        shown = command("proof", "show", "proof", cwd=tmp_path)
        assert [line.split()[:3] for line in shown.out.splitlines()[1:]] == [
            ["2026-02-01", "1", "1"], ["2026-02-02", "2", "1"],
        ]  # fmt: skip
        day = command("proof", "show", "proof", "--day", "2026-02-01", "--json", cwd=tmp_path)
        assert json.loads(day.out)["leaves"][0]["counts"] == {"p": 1440}
        checked = await command_at(exchange, "proof", "verify", "proof", *storage, cwd=tmp_path)
        assert checked.code == 0, checked.out
        assert checked.out.splitlines()[-1] == "store: 2 symbol-days as signed"

        # Somebody else, who has a copy of the folder, the public key, and Python.
        elsewhere = tmp_path / "elsewhere"
        shutil.copytree(tmp_path / "proof", elsewhere / "proof")
        shutil.copy(tmp_path / "proof_key.pub", elsewhere)
        alone = await verified_outside(elsewhere, exchange.archive_url)
        assert alone[0] == 0, alone
        assert re.fullmatch(
            r"holds: signatures, 2 heads, 2 leaves, 0 without a file, 0 otherwise; last head \w{64}",
            alone[1].splitlines()[-1],
        )


async def verified_outside(home: Path, archive_url: str) -> tuple[int, str]:
    """``verify_proof.py`` without the program and without any package."""
    command_line = [
        sys.executable, "-I", "-S", "proof/verify_proof.py", "proof", "--key", "proof_key.pub",
        "--archive", archive_url,
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command_line, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_a_changed_day_is_corrected_with_the_reason_given(tmp_path: Path) -> None:
    live(tmp_path / "store")
    seal = ("proof", "seal", "--key", "key", "--day", "2026-02-02", "--storage", "store", "--json")
    assert command("proof", "keygen", "key", cwd=tmp_path).code == 0
    async with Exchange(recorded(AVAX), SimulatedClock(MORNING)) as exchange:
        first = await command_at(exchange, *seal, cwd=tmp_path)
        assert json.loads(first.out) == {"days": 1, "heads": 1, "signed": 1, "corrected": 0, "waiting": {}}
        at = FEBRUARY + DAY_MS + 5 * MINUTE_MS
        store = Store(tmp_path / "store", exchange="a simulated exchange")
        rows = store.read(AVAX, at, at + MINUTE_MS).copy()
        rows["trades"] += 1
        store.put(AVAX, rows, Source.REST, reject_archives=span(at, at + MINUTE_MS)).result()
        store.close()
        second = await command_at(exchange, *seal, "--reason", "REST has more trades", cwd=tmp_path)
        assert json.loads(second.out)["corrected"] == 1
        heads = json.loads(command("proof", "show", "--json", cwd=tmp_path).out)["heads"]
        assert [head["replaces"] and head["replaces"][0]["reason"] for head in heads] == [
            [], "REST has more trades",
        ]  # fmt: skip
        checked = await command_at(exchange, "proof", "verify", "--storage", "store", cwd=tmp_path)
        assert checked.code == 0, checked.out
        assert "but for 1 that the leaf has otherwise" in checked.out


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("seal",), 2, "no key to sign with"),
        (("seal", "--key", "absent"), 2, "the key absent cannot be read"),
        (("seal", "--key", "key"), 1, "lmdb_data holds no store"),
        (("seal", "--key", "key", "--day", "2026-02-02", "--from", "2026-02-01"), 2, "--day names one day"),
        (("show", "absent"), 2, "there are no signed days in absent"),
        (("verify", "absent"), 2, "there are no signed days in absent"),
        (("keygen", "key"), 1, "is there already, and a key is never replaced"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_remedy(
    words: tuple[str, ...], code: int, text: str, tmp_path: Path
) -> None:
    assert command("proof", "keygen", "key", cwd=tmp_path).code == 0
    done = command("proof", *words, cwd=tmp_path)
    assert (done.code, done.out) == (code, "")
    assert text in done.err
