-- Run after sqlite-v3.sql where this SQLite has FTS5 with the trigram tokenizer.
-- Patients, studies and series only. Row number: resources.internal_id * 16 + slot of the tag
-- (TRIGRAM_SLOTS in orthanc_tw/index/normalize.py).
CREATE VIRTUAL TABLE trigrams USING fts5(
  value,              -- the normalized value, as in identifiers
  tokenize='trigram'  -- answers GLOB '*...*' from three characters on
);
