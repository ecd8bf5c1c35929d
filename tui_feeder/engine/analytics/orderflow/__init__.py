"""Order flow: ladders of trades, their packing, their check against candles, and profiles of them. Pure."""
