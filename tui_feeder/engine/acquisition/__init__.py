"""How candles come: history, live frames, gaps, and the way of a symbol to live."""
