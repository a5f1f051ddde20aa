//! The tools of the suite: a gateway process, a client, topics, records, streams, and waiting for conditions.

pub(crate) mod client;
pub(crate) mod front;
pub(crate) mod gateway;
pub(crate) mod history;
pub(crate) mod lines;
pub(crate) mod member;
pub(crate) mod raw;
pub(crate) mod record;
pub(crate) mod sse;
pub(crate) mod terminal;
pub(crate) mod topic;
pub(crate) mod wait;

/// What a gateway keeps its records in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backend {
    /// The embedded database in the data directory.
    Sqlite,
}

/// Makes a test of each function named, once for each backend.
macro_rules! on_each_backend {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test($crate::harness::Backend::Sqlite).await;
                }
            )+
        }
    };
}
pub(crate) use on_each_backend;
