-- What profiles made of trades have beside: the share of the volume that is exact, what takers bought and sold in
-- the row of the point of control, and what they bought in each row.
ALTER TABLE volume_profiles
    ADD COLUMN IF NOT EXISTS exact_share double precision,
    ADD COLUMN IF NOT EXISTS buy_volume double precision,
    ADD COLUMN IF NOT EXISTS sell_volume double precision,
    ADD COLUMN IF NOT EXISTS bought double precision[];
