//! For tests: keys in a database of their own.

use std::sync::Arc;

use tempfile::TempDir;

use crate::access;
use crate::access::Access;
use crate::access::Options;
use crate::store;
use crate::store::contract::Store;
use crate::tasks::Tasks;

/// Over a new database, which goes with what is returned beside it.
pub(crate) async fn open(options: Options) -> (TempDir, Access) {
    let place = tempfile::tempdir().expect("a temporary directory");
    let access = access::start(store(&place).await, options, &Tasks::default()).await.expect("read");
    (place, access)
}

/// A database in that place.
pub(crate) async fn store(place: &TempDir) -> Arc<dyn Store> {
    let options = store::Options {
        data_dir: place.path().join("data"),
        postgres: None,
        partitions_max: 100,
        groups_max: 0,
        idempotency_ms: 1_000,
        wal_bytes_max: 8 << 20,
        readers: 1,
        lanes: 1,
    };
    store::open(&options).await.expect("opened")
}
