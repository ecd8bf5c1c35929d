"""feeder-tui: Binance USD-M futures candles, complete, right and live, on one terminal."""

__version__ = "0.1.0"
