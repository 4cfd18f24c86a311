-- Identifies the sequence of revocations in this file. A file that is created after this one was lost has another epoch, so
-- followers of the published feed notice that positions of the old one mean nothing in it.

CREATE TABLE revocation_epoch (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    epoch TEXT    NOT NULL
) STRICT;

INSERT INTO revocation_epoch (one, epoch) VALUES (1, lower(hex(randomblob(8))));
