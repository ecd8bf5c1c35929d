"""The candle store in LMDB, its records, and the outbox."""
