-- A checksum of the settings a profile was made with: one made with others is written again.
ALTER TABLE volume_profiles ADD COLUMN IF NOT EXISTS made_with bigint;
