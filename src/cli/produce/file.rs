//! A file as one record, written once however often it has to be sent.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::cli::client::Call;
use crate::cli::client::Client;
use crate::cli::output::print_as_it_is;
use crate::cli::patience::Patience;
use crate::model::name::TopicName;

/// A value that is a file.
#[derive(Debug, Clone)]
pub struct FileValue {
    /// The file.
    pub path: PathBuf,
    /// What it is, by its media type; the gateway looks at it if nothing is said.
    pub content_type: Option<&'static str>,
    /// The record's key.
    pub key: Option<String>,
    /// The record's partition.
    pub partition: Option<u32>,
}

/// Sends the file. An `Idempotency-Key` makes it safe to try again.
pub(super) async fn run(
    mut client: Client,
    topic: &TopicName,
    value: &FileValue,
    receipts: bool,
) -> anyhow::Result<()> {
    let bytes = fs::read(&value.path).with_context(|| format!("cannot read {}", value.path.display()))?;
    let bytes = bytes::Bytes::from(bytes);
    let mut query = Vec::new();
    if let Some(key) = &value.key {
        query.push(format!("key={}", utf8_percent_encode(key, NON_ALPHANUMERIC)));
    }
    if let Some(partition) = value.partition {
        query.push(format!("partition={partition}"));
    }
    let path = format!("/v1/topics/{topic}/values?{}", query.join("&"));
    let idempotency_key = format!("{:032x}", fastrand::u128(..));
    let mut patience = Patience::new(false);
    loop {
        let mut call = Call::post(path.clone(), bytes.clone()).header("idempotency-key", idempotency_key.clone());
        if let Some(content_type) = value.content_type {
            call = call.header("content-type", content_type);
        }
        match client.once(call).await {
            Ok(receipt) if receipts => return print_as_it_is(&receipt),
            Ok(_) => return Ok(()),
            Err(error) => patience.bear(error).await?,
        }
    }
}
