//! The contract on a real PostgreSQL, and what is its own: settings and schema at the start, answers that are lost, servers
//! that go away, nodes side by side, query plans, damage.

mod lost;
mod nodes;
mod place;
mod proxy;
mod start;
mod sweep;

use std::pin::Pin;
use std::sync::Arc;

use crate::store::Options;
use crate::store::conformance::bench::Opened;
use crate::store::conformance::conformance;
use crate::store::postgres::database::Postgres;
use place::Place;

fn open_postgres(options: Options) -> Pin<Box<dyn Future<Output = Opened>>> {
    Box::pin(async move {
        let place = Place::of(&options).await;
        let store = Postgres::open(&place.url, &options).await.expect("opened");
        Opened { store: Arc::new(store), place: Some(place) }
    })
}

conformance!(conforms, crate::store::postgres::tests::open_postgres);
