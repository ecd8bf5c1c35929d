"""The commands about stored candles, one file a command. Importing this package loads nothing."""
