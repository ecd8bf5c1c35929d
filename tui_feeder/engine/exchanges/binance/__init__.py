"""Binance USD-M futures: the only code that knows its addresses, payloads and weights."""
