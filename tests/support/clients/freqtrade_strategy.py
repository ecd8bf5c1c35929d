"""A strategy for freqtrade that writes down every candle it is given."""

from __future__ import annotations

import json
import os

from freqtrade.strategy import IStrategy
from pandas import DataFrame


class Recorder(IStrategy):
    """Enters wherever it can; keeps the candles in the file named by RECORDED."""

    timeframe = "5m"
    startup_candle_count = 60
    minimal_roi = {"0": 0.01}  # noqa: RUF012 - as freqtrade documents it
    stoploss = -0.1

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        rows = dataframe.copy()
        rows["date"] = rows["date"].astype("datetime64[ms, UTC]").astype("int64")
        columns = ["date", "open", "high", "low", "close", "volume"]
        with open(os.environ["RECORDED"], "a", encoding="utf-8") as file:
            file.write(json.dumps({"pair": metadata["pair"], "rows": rows[columns].values.tolist()}) + "\n")
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        dataframe.loc[:, "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        return dataframe
