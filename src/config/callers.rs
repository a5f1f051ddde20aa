//! The flags of what each caller may do.

use std::num::NonZeroU64;

use clap::Args;
use clap::value_parser;

use crate::http::limiter::Options;
use crate::http::proxies::Network;
use crate::quota::Allowance;

/// At least what comes in one piece: less would let a single body starve until it is given up.
const BYTES_PER_S_MIN: u64 = 64 << 10;

#[derive(Debug, Args)]
pub(crate) struct CallerFlags {
    /// Requests a second from one address; of IPv6 from one /64. Without it and those below nothing is counted
    #[arg(long, env = "TIDEGATE_ADDRESS_REQUESTS_PER_S", value_name = "N", value_parser = value_parser!(u64).range(1..=1_000_000_000))]
    address_requests_per_s: Option<u64>,
    /// Records a second from one address
    #[arg(long, env = "TIDEGATE_ADDRESS_RECORDS_PER_S", value_name = "N", value_parser = value_parser!(u64).range(1..=1_000_000_000))]
    address_records_per_s: Option<u64>,
    /// Bytes of request bodies a second from one address
    #[arg(long, env = "TIDEGATE_ADDRESS_BYTES_PER_S", value_name = "BYTES",
        value_parser = value_parser!(u64).range(BYTES_PER_S_MIN..=1 << 40))]
    address_bytes_per_s: Option<u64>,
    /// Endless answers at once to one address
    #[arg(long, env = "TIDEGATE_ADDRESS_STREAMS_MAX", value_name = "N", value_parser = value_parser!(u64).range(1..=10_000_000))]
    address_streams_max: Option<u64>,
    /// Connections at once from one address; beyond it new ones are closed
    #[arg(long, env = "TIDEGATE_ADDRESS_CONNECTIONS_MAX", value_name = "N", value_parser = value_parser!(u64).range(1..=10_000_000))]
    address_connections_max: Option<u64>,
    /// Proxy that is believed when it says by whom it was asked (X-Forwarded-For, X-Forwarded-Proto): an address, or a
    /// network such as 10.0.0.0/8 (repeatable)
    #[arg(long, env = "TIDEGATE_TRUSTED_PROXY", value_name = "ADDR", value_delimiter = ',')]
    trusted_proxy: Vec<Network>,
}

impl From<CallerFlags> for Options {
    fn from(flags: CallerFlags) -> Self {
        let bound = |flag: Option<u64>| flag.and_then(NonZeroU64::new);
        Self {
            of_address: Allowance {
                requests_per_s: bound(flags.address_requests_per_s),
                records_per_s: bound(flags.address_records_per_s),
                bytes_per_s: bound(flags.address_bytes_per_s),
                streams: bound(flags.address_streams_max),
                connections: bound(flags.address_connections_max),
            },
            trusted_proxies: flags.trusted_proxy,
        }
    }
}
