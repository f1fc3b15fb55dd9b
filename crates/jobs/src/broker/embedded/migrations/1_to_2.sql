-- From version 1: priorities, fair shares and webhooks.
ALTER TABLE jobs ADD COLUMN client TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN webhook TEXT;   -- jobs::Webhook as JSON

CREATE TABLE line (
    turn INTEGER PRIMARY KEY AUTOINCREMENT,
    class INTEGER NOT NULL,             -- 0: it was taken before; 1, 2, 3: high, normal, low
    round INTEGER NOT NULL,             -- in each round every client of a class has one turn
    lane TEXT NOT NULL,
    client TEXT NOT NULL,
    job_id TEXT NOT NULL UNIQUE
) STRICT;
CREATE INDEX line_in_order ON line (class, round, turn);
CREATE INDEX line_by_client ON line (class, client, round);
CREATE INDEX line_by_lane ON line (lane, class, round);
INSERT INTO line (class, round, lane, client, job_id)
    SELECT iif(returned, 0, 2), 0, lane, '', job_id FROM waiting ORDER BY returned DESC, turn;
DROP TABLE waiting;

-- The round of the job that was taken last from each class.
CREATE TABLE rounds (
    class INTEGER PRIMARY KEY,
    round INTEGER NOT NULL
) STRICT;

CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    due_at INTEGER NOT NULL,            -- milliseconds since 1970
    attempt INTEGER NOT NULL,
    delivery TEXT NOT NULL              -- jobs::Delivery as JSON
) STRICT;
CREATE INDEX deliveries_by_due ON deliveries (due_at);
