-- The tables of the embedded queue, version 3 (PRAGMA user_version). A new file gets these; `migrations/` brings older
-- files here. All times are milliseconds of the queue's own time (see clock.rs) unless stated otherwise.

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    upload_id TEXT NOT NULL,
    finished_at INTEGER,
    worker TEXT,                        -- has the lease while the job runs
    lost INTEGER NOT NULL DEFAULT 0,    -- number of workers that were lost with the job
    idempotency_key TEXT UNIQUE,
    fingerprint TEXT,
    job TEXT NOT NULL,                  -- jobs::Job as JSON
    client TEXT NOT NULL DEFAULT '',
    webhook TEXT,                       -- jobs::Webhook as JSON
    queued_at INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_end ON jobs (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE events (
    job_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    event TEXT NOT NULL,                -- jobs::Event as JSON
    PRIMARY KEY (job_id, seq)
) STRICT, WITHOUT ROWID;

-- The jobs that wait, in the order (class, round, turn).
CREATE TABLE line (
    turn INTEGER PRIMARY KEY AUTOINCREMENT,
    class INTEGER NOT NULL,             -- 0: returned by a worker; 1, 2, 3: high, normal, low
    round INTEGER NOT NULL,             -- every client has one turn per round of a class
    lane TEXT NOT NULL,
    client TEXT NOT NULL,
    job_id TEXT NOT NULL UNIQUE
) STRICT;
CREATE INDEX line_in_order ON line (class, round, turn);
CREATE INDEX line_by_client ON line (class, client, round);
CREATE INDEX line_by_lane ON line (lane, class, round);

-- The round of the job that was taken last from each class.
CREATE TABLE rounds (
    class INTEGER PRIMARY KEY,
    round INTEGER NOT NULL
) STRICT;

-- The queue's own time, and the wall clock when it was stored.
CREATE TABLE clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    even_ms INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,           -- since 1970
    is_closed INTEGER NOT NULL          -- 0 while a process has the file open: its changes may be in the log only
) STRICT;

CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    due_at INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    delivery TEXT NOT NULL,             -- jobs::Delivery as JSON
    client TEXT NOT NULL DEFAULT '',
    receiver TEXT NOT NULL DEFAULT ''   -- scheme, host and port
) STRICT;
CREATE INDEX deliveries_in_order ON deliveries (client, receiver, due_at);

-- Turns of clients, and of the receivers of each. `ready_at` is when the first delivery is due or when the last turn
-- was, whichever is later. It may be too early, never too late.
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
