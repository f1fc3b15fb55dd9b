-- From version 2: the queue's own time, and turns of webhook receivers.
-- The queue's own time (see clock.rs), in milliseconds, and the wall clock when it was stored.
CREATE TABLE clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    even_ms INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    is_closed INTEGER NOT NULL          -- 0 while a process has the file: then changes are in the log beside it
) STRICT;

-- When the job was handed in. This, `finished_at` and all that is due are of the queue's own time from now on.
ALTER TABLE jobs ADD COLUMN queued_at INTEGER NOT NULL DEFAULT 0;

ALTER TABLE deliveries ADD COLUMN client TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN receiver TEXT NOT NULL DEFAULT '';
UPDATE deliveries SET receiver =
    substr(delivery ->> '$.url', 1, 7 + instr(substr((delivery ->> '$.url') || '/', 9), '/'));
DROP INDEX deliveries_by_due;
CREATE INDEX deliveries_in_order ON deliveries (client, receiver, due_at);

-- Whose turn it is to be posted to: clients, and the receivers of each, by when the first of their deliveries is
-- due or they had their last turn, whichever is later. Never later than that, perhaps earlier.
CREATE TABLE posting_clients (
    client TEXT PRIMARY KEY,
    ready_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX posting_clients_by_turn ON posting_clients (ready_at);
CREATE TABLE posting_receivers (
    client TEXT NOT NULL,
    receiver TEXT NOT NULL,
    ready_at INTEGER NOT NULL,
    PRIMARY KEY (client, receiver)
) STRICT, WITHOUT ROWID;
CREATE INDEX posting_receivers_by_turn ON posting_receivers (client, ready_at);
INSERT INTO posting_receivers (client, receiver, ready_at)
    SELECT client, receiver, min(due_at) FROM deliveries GROUP BY client, receiver;
INSERT INTO posting_clients (client, ready_at)
    SELECT client, min(ready_at) FROM posting_receivers GROUP BY client;
