"""The Python API beside a process that writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from places import SUPPORT
from samples import walk

from tui_feeder import open_store


def test_it_sees_what_another_process_writes_meanwhile(tmp_path: Path) -> None:
    writer = (
        "import sys\n"
        "from pathlib import Path\n"
        "from samples import walk\n"
        "from tui_feeder.engine.core.candle import Source\n"
        "from tui_feeder.engine.storage.store import Store\n"
        "store = Store(Path(sys.argv[1]), exchange='x', map_size=1 << 16)\n"  # it must grow under us
        "rows = walk(30 * 1440)\n"
        "for day in range(30):\n"
        "    store.put('BTCUSDT', rows[day * 1440:][:1440], Source.REST).result()\n"
        "    print(day, flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", writer, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=SUPPORT,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "0\n"
    with open_store(tmp_path) as store:
        for day in range(1, 30):
            assert len(store.candles("BTCUSDT", "1d")) == day
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{day}\n"
        assert np.array_equal(store.candles("BTCUSDT")["close"], walk(30 * 1440)["close"])
    process.stdin.close()
    process.stdout.close()
    assert process.wait(30) == 0
