"""What everything rests on: candles, coverage, clocks, the journal, supervision. Knows nothing above it."""
