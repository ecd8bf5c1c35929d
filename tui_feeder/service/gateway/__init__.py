"""The gateway: the store served as an exchange, so that any Binance client reads verified candles from it."""
