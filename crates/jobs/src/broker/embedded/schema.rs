//! The version of the queue's tables.

use rusqlite::Connection;

use crate::broker::BrokerError;

type Result<T> = std::result::Result<T, BrokerError>;

/// What a new file gets.
const SCHEMA: &str = include_str!("schema.sql");

/// The steps from version 1 to 2, from 2 to 3, and so on. [`SCHEMA`] is what they lead to.
///
/// Rows that hold a `Job` or an `Event` as JSON are not rewritten: fields that these gain need `#[serde(default)]`.
const MIGRATIONS: [&str; 2] = [include_str!("migrations/1_to_2.sql"), include_str!("migrations/2_to_3.sql")];

/// The version of [`SCHEMA`].
const VERSION: i64 = MIGRATIONS.len() as i64 + 1;

/// Creates the tables in a new file, and brings those of an older version to the present one.
///
/// # Errors
/// When the file is of a newer version, or cannot be written.
pub(super) fn migrate(db: &mut Connection) -> Result<()> {
    let found = version(db)?;
    if found == VERSION {
        return Ok(());
    }
    let steps: &[&str] = match usize::try_from(found) {
        Ok(0) => &[SCHEMA],
        Ok(found) => MIGRATIONS.get(found - 1..).unwrap_or_default(),
        Err(_) => &[],
    };
    if steps.is_empty() {
        return Err(BrokerError::NewerFile { found, known: VERSION });
    }
    let tx = db.transaction()?;
    for step in steps {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "user_version", VERSION)?;
    tx.commit()?;
    Ok(())
}

/// 0 for a new file.
pub(super) fn version(db: &Connection) -> Result<i64> {
    Ok(db.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Version 1, as it was created before there was a version 2.
    const VERSION_1: &str = "
        CREATE TABLE jobs (
            id TEXT PRIMARY KEY, state TEXT NOT NULL, upload_id TEXT NOT NULL, finished_at INTEGER, worker TEXT,
            lost INTEGER NOT NULL DEFAULT 0, idempotency_key TEXT UNIQUE, fingerprint TEXT, job TEXT NOT NULL
        ) STRICT;
        CREATE INDEX jobs_by_state ON jobs (state);
        CREATE INDEX jobs_by_end ON jobs (finished_at) WHERE finished_at IS NOT NULL;
        CREATE TABLE waiting (
            turn INTEGER PRIMARY KEY AUTOINCREMENT, returned INTEGER NOT NULL, lane TEXT NOT NULL,
            job_id TEXT NOT NULL UNIQUE
        ) STRICT;
        CREATE INDEX waiting_in_order ON waiting (returned DESC, turn);
        CREATE TABLE events (
            job_id TEXT NOT NULL, seq INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (job_id, seq)
        ) STRICT, WITHOUT ROWID;
        PRAGMA user_version = 1;";

    /// Tables with their columns, and indexes with theirs.
    fn shape(db: &Connection) -> BTreeSet<(String, String, String, bool, Option<String>, bool)> {
        let sql = "SELECT t.name, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk > 0
                   FROM pragma_table_list t JOIN pragma_table_info(t.name) c WHERE t.name NOT LIKE 'sqlite_%'
                   UNION ALL
                   SELECT m.name, i.name, '', 0, NULL, 0 FROM sqlite_master m JOIN pragma_index_info(m.name) i
                   WHERE m.type = 'index'";
        let mut query = db.prepare(sql).expect("sql");
        let read =
            |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?));
        query.query_map([], read).expect("rows").collect::<rusqlite::Result<_>>().expect("a row")
    }

    fn new_file() -> Connection {
        let mut db = Connection::open_in_memory().expect("a database");
        migrate(&mut db).expect("a schema");
        db
    }

    #[test]
    fn migrations_lead_to_the_schema_of_a_new_file() {
        let mut old = Connection::open_in_memory().expect("a database");
        old.execute_batch(VERSION_1).expect("version 1");
        migrate(&mut old).expect("migrated");
        assert_eq!(version(&old).expect("a version"), VERSION);
        assert_eq!(shape(&old), shape(&new_file()));
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused() {
        for found in [VERSION + 1, -1] {
            let mut db = new_file();
            db.pragma_update(None, "user_version", found).expect("a version");
            let error = migrate(&mut db).expect_err("a version that is not known");
            assert!(matches!(error, BrokerError::NewerFile { .. }), "{error}");
            assert!(error.to_string().contains(&found.to_string()), "{error}");
        }
    }
}
