-- What a transfer that fails takes back.

-- Instances that are here for a transfer that has not ended: a row for each such transfer. If it
-- fails, the instance goes with its last row. Who else stores the instance removes its rows, and
-- so does the first of these transfers that succeeds.
CREATE TABLE provisional_instances (
  -- the instance
  internal_id INTEGER NOT NULL REFERENCES resources(internal_id) ON DELETE CASCADE,
  -- the transfer, see orthanc_tw/index/provisional.py
  transfer TEXT NOT NULL,
  PRIMARY KEY (internal_id, transfer)
) WITHOUT ROWID;
CREATE INDEX provisional_by_transfer ON provisional_instances(transfer, internal_id);
