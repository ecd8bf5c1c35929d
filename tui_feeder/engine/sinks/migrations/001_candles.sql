-- Candles of all timeframes; time is the opening of the candle, time_frame its length as 1m, 5m, 1h, 1d.
-- A table that is there already is kept, with its rows; only what it lacks is added.
CREATE TABLE IF NOT EXISTS candles_1m (
    time timestamptz NOT NULL,
    symbol text NOT NULL,
    time_frame text NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    trade_count bigint NOT NULL,
    taker_buy_volume double precision NOT NULL
);
ALTER TABLE candles_1m ADD COLUMN IF NOT EXISTS quote_volume double precision;
ALTER TABLE candles_1m ADD COLUMN IF NOT EXISTS taker_buy_quote_volume double precision;
-- One-minute candles inside: fewer than the length of the candle where minutes were missing.
ALTER TABLE candles_1m ADD COLUMN IF NOT EXISTS minutes smallint;
CREATE UNIQUE INDEX IF NOT EXISTS candles_1m_time_symbol_time_frame ON candles_1m (time, symbol, time_frame);

-- How far each symbol and timeframe is mirrored: sorted pairs of ms, start and exclusive end, of the minutes
-- whose candles are written. It changes in the transaction of the candles.
CREATE TABLE IF NOT EXISTS feeder_mirror (
    symbol text NOT NULL,
    time_frame text NOT NULL,
    minutes bigint[] NOT NULL,
    PRIMARY KEY (symbol, time_frame)
);
