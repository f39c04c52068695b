-- The same, to be read after sqlite-v1-trigrams.sql.
INSERT INTO trigrams (rowid, value) VALUES (16, 'SMITH^JOHN');
INSERT INTO trigrams (rowid, value) VALUES (37, 'THORAX');
INSERT INTO trigrams (rowid, value) VALUES (176, 'MULLER^EVA');
