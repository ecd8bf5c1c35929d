-- The volume profile of a symbol's UTC day; row i of weights stands for the price low_price + i * price_increment.
CREATE TABLE IF NOT EXISTS volume_profiles (
    symbol text NOT NULL,
    date date NOT NULL,
    total_volume double precision NOT NULL,
    vwap double precision,
    poc double precision NOT NULL,
    value_area_high double precision NOT NULL,
    value_area_low double precision NOT NULL,
    value_area_volume double precision NOT NULL,
    value_area_percentage double precision NOT NULL,
    price_increment double precision NOT NULL,
    min_price double precision NOT NULL,
    max_price double precision NOT NULL,
    candle_count integer NOT NULL,
    last_updated timestamptz NOT NULL,
    low_price double precision NOT NULL,
    weights double precision[] NOT NULL,
    PRIMARY KEY (symbol, date)
);
