"""Past days of symbols as Parquet files that other programs read by themselves."""
