"""Binance, USD-M, COIN-M and spot: the only code that knows its addresses, payloads and weights."""
