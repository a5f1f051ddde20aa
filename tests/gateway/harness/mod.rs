//! The tools of the suite: a gateway process, a client, topics, records, streams, and waiting for conditions.

pub(crate) mod access;
pub(crate) mod client;
pub(crate) mod collector;
pub(crate) mod front;
pub(crate) mod gateway;
pub(crate) mod history;
pub(crate) mod lines;
pub(crate) mod member;
pub(crate) mod postgres;
pub(crate) mod raw;
pub(crate) mod record;
pub(crate) mod sse;
pub(crate) mod terminal;
pub(crate) mod topic;
pub(crate) mod wait;

/// What a gateway keeps its records in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// The embedded database in the data directory.
    Sqlite,
    /// A database of its own on the server that `TEST_POSTGRES_URL` names.
    Postgres,
}

/// Makes a test of each function named, on one backend, in a module of this name.
macro_rules! on_backend {
    ($module:ident, $backend:ident, $($test:ident),+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test($crate::harness::Backend::$backend).await;
                }
            )+
        }
    };
}
pub(crate) use on_backend;

/// Makes a test of each function named, once for each backend.
macro_rules! on_each_backend {
    ($($test:ident),+ $(,)?) => {
        $crate::harness::on_backend!(sqlite, Sqlite, $($test),+);
        $crate::harness::on_backend!(postgres, Postgres, $($test),+);
    };
}
pub(crate) use on_each_backend;

/// Makes a test of each function named that has nothing to prove on PostgreSQL, for the reason given.
macro_rules! on_sqlite {
    ($reason:literal: $($test:ident),+ $(,)?) => {
        $crate::harness::on_backend!(sqlite_alone, Sqlite, $($test),+);
    };
}
pub(crate) use on_sqlite;

/// Makes a test of each function named that is about nodes which share a database.
macro_rules! on_postgres {
    ($($test:ident),+ $(,)?) => {
        $crate::harness::on_backend!(postgres, Postgres, $($test),+);
    };
}
pub(crate) use on_postgres;
