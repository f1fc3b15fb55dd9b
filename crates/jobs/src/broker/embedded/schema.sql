CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    upload_id TEXT NOT NULL,
    finished_at INTEGER,                -- milliseconds since 1970
    worker TEXT,                        -- who has it, while it runs
    lost INTEGER NOT NULL DEFAULT 0,    -- how many workers were lost with it
    idempotency_key TEXT UNIQUE,
    fingerprint TEXT,
    job TEXT NOT NULL                   -- jobs::Job as JSON
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_end ON jobs (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE waiting (
    turn INTEGER PRIMARY KEY AUTOINCREMENT,
    returned INTEGER NOT NULL,          -- 1: it was taken before, and comes first
    lane TEXT NOT NULL,
    job_id TEXT NOT NULL UNIQUE
) STRICT;
CREATE INDEX waiting_in_order ON waiting (returned DESC, turn);

CREATE TABLE events (
    job_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    event TEXT NOT NULL,                -- jobs::Event as JSON
    PRIMARY KEY (job_id, seq)
) STRICT, WITHOUT ROWID;
