//! Opening the database: one writer, some readers, migrations from inside the program.
//!
//! Refuses a database that a newer program wrote. Invariant: there is one writing connection per process, so that
//! transactions queue instead of failing.

use std::path::Path;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::fault::StoreFault;

/// Readers beside the writer: pages that look into history. The fleet itself is in memory.
const READERS: u32 = 4;
/// How long a connection waits for another process's lock (a backup, an `import` beside a running console).
const BUSY: Duration = Duration::from_secs(10);

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// The console's database.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
    pub(crate) site: String,
}

impl Store {
    /// Opens the database, makes it when it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened or its version does not fit.
    pub async fn open(path: &Path, site: &str) -> Result<Self, StoreFault> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let fault = |source| StoreFault::Open {
            path: path.display().to_string(),
            source,
        };
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await
            .map_err(fault)?;
        MIGRATIONS.run(&writer).await.map_err(StoreFault::Version)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.create_if_missing(false).pragma("query_only", "ON"))
            .await
            .map_err(fault)?;
        Ok(Self {
            writer,
            readers,
            site: site.to_owned(),
        })
    }

    /// Waits for the writer and closes every connection, so that the folder can be copied.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
