//! `tidegate doctor`: is what the gateway relies on as it should be? Database, disk, limits, clock, and the proxies
//! between it and its clients. Changes nothing but a topic of its own, which it deletes.

mod machine;
mod proxy;

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use anyhow::bail;

use crate::cli::away::delete_topic;
use crate::cli::client::Client;
use crate::cli::client::Gateway;
use crate::cli::exit::Interrupted;
use crate::cli::output::print;
use crate::cli::progress::Progress;
use crate::cli::url::ServerUrl;
use crate::model::finding::Finding;
use crate::model::finding::Level;
use crate::store;

/// What to look at.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data, as the gateway is told of it.
    pub store: store::Options,
    /// Connections that the gateway is to take.
    pub connections_max: u64,
    /// Where clients find the gateway; each is tried.
    pub public_urls: Vec<ServerUrl>,
    /// The key that is sent there.
    pub key: Option<String>,
    /// How long a proxy is watched while nothing is said.
    pub silence: Duration,
}

/// Looks at everything, and says what it found, a line each.
///
/// # Errors
/// If something does not work as it must.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let mut told = Told::default();
    let mut stop = pin!(stop);
    let local = async {
        for finding in store::inspect(&options.store).await {
            told.tell(finding)?;
        }
        for finding in machine::inspect(&options.store.data_dir, options.connections_max) {
            told.tell(finding)?;
        }
        if options.public_urls.is_empty() {
            told.note("proxy", "not looked at: name what clients use with --public-url")?;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        done = local => done?,
        () = &mut stop => return Err(Interrupted.into()),
    }
    for url in &options.public_urls {
        let mut client = Client::new(Gateway { url: url.clone(), key: options.key.clone() });
        let topic = format!("tidegate-doctor-{:016x}", fastrand::u64(..));
        let mut progress = Progress::new();
        let outcome = tokio::select! {
            seen = proxy::inspect(&mut client, url, &topic, options.silence, &mut progress) => Some(seen),
            () = &mut stop => None,
        };
        drop(progress);
        if outcome.as_ref().is_none_or(|seen| seen.has_topic) {
            delete_topic(&mut client, &topic).await;
        }
        let Some(seen) = outcome else { return Err(Interrupted.into()) };
        for finding in seen.findings {
            told.tell(finding)?;
        }
    }
    match told.failures {
        0 => Ok(()),
        1 => bail!("one thing does not work as it must"),
        n => bail!("{n} things do not work as they must"),
    }
}

#[derive(Default)]
struct Told {
    failures: usize,
}

impl Told {
    fn tell(&mut self, finding: Finding) -> anyhow::Result<()> {
        let level = match finding.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        self.failures += usize::from(finding.level == Level::Fail);
        Ok(print(&format!("{level:<4}  {:<12}  {}\n", finding.subject, finding.text))?)
    }

    fn note(&self, subject: &str, text: &str) -> anyhow::Result<()> {
        Ok(print(&format!("{:<4}  {subject:<12}  {text}\n", "-"))?)
    }
}
