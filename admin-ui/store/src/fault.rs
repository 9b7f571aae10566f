//! What can go wrong with the database.
//!
//! Refuses to show a row's content in a message. Invariant: a conflict with what is there is told apart from a database that
//! does not work.

/// The database could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// The file could not be opened.
    #[error("the database `{path}` cannot be opened")]
    Open {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date, or is newer than this program.
    #[error("the database's version does not fit this program")]
    Version(#[source] sqlx::migrate::MigrateError),
    /// A query failed.
    #[error("the database refused `{what}`")]
    Query {
        /// What was wanted.
        what: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A stored document cannot be read by this program.
    #[error("the stored `{what}` cannot be read")]
    Document {
        /// Which kind of document.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// A transaction did not happen.
#[derive(Debug, thiserror::Error)]
pub enum CommitFault {
    /// A unique constraint: somebody else was first.
    #[error("`{what}` is there already")]
    Conflict {
        /// The table and column of the constraint.
        what: String,
    },
    /// The record's entry could not be made durable, so nothing was done.
    #[error("the record is not durable")]
    NotSealed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

pub(crate) fn query(what: &'static str) -> impl FnOnce(sqlx::Error) -> StoreFault {
    move |source| StoreFault::Query { what, source }
}

pub(crate) fn document(what: &'static str) -> impl FnOnce(serde_json::Error) -> StoreFault {
    move |source| StoreFault::Document { what, source }
}
