"""The embedded exchange: written from the facts about Binance, not from the engine."""
