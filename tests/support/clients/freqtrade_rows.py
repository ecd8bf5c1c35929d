"""What freqtrade downloaded: prints the rows of a feather file."""

from __future__ import annotations

import sys

import pandas as pd

frame = pd.read_feather(sys.argv[1])
frame["date"] = frame["date"].astype("datetime64[ms, UTC]").astype("int64")
print(frame[["date", "open", "high", "low", "close", "volume"]].to_json(orient="values", double_precision=15))
