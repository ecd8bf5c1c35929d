-- Contracts traded in a candle: the quote volume by what one is worth. NULL where the exchange counts none.
-- Candles of COIN-M futures that were written before are written again.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = 'candles_1m'::regclass AND attname = 'contracts' AND NOT attisdropped
    ) THEN
        ALTER TABLE candles_1m ADD COLUMN contracts bigint;
        DELETE FROM feeder_mirror WHERE symbol LIKE 'coinm:%';
    END IF;
END
$$;
