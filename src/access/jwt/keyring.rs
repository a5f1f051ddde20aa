//! The keys that are known now, and the task that looks for newer ones.
//!
//! A token of an unknown key makes the task look, so that an issuer may change its keys at any time; but anybody can send
//! such tokens, so between two looks a time passes in which they are refused at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::sleep_until;
use tokio::time::timeout;

use crate::access::jwt::jwks::BadJwks;
use crate::access::jwt::jwks::read_jwks;
use crate::access::jwt::key::KeySet;
use crate::access::jwt::source::Pace;
use crate::access::jwt::source::Source;
use crate::access::jwt::source::SourceError;
use crate::tasks::Tasks;

/// Longest wait for a look. A look is bounded itself, a little closer.
const WAIT_MAX: Duration = Duration::from_secs(6);

/// The keys that are known. A clone is the same ring.
#[derive(Clone)]
pub(super) struct Keyring(Arc<Inner>);

struct Inner {
    /// Sent after every look, also if it found nothing new.
    known: watch::Sender<Arc<KeySet>>,
    turn: Mutex<Turn>,
    wanted: Notify,
}

/// Whether somebody may ask for a look.
#[derive(Clone, Copy)]
enum Turn {
    /// There is nowhere to look.
    Fixed,
    /// A look is under way, or about to begin.
    Looking,
    /// The last look has ended; the next may begin then.
    Resting { until: Instant },
}

/// The keys as they were, and word of newer ones.
pub(super) struct Known {
    news: watch::Receiver<Arc<KeySet>>,
    /// The keys.
    pub(super) keys: Arc<KeySet>,
}

impl Keyring {
    /// Keys that never change.
    pub(super) fn fixed(keys: KeySet) -> Self {
        Self::new(keys, Turn::Fixed)
    }

    /// Keys that a task keeps up until `tasks` stop, from these on. It looks at once.
    pub(super) fn kept_up(keys: KeySet, source: Source, pace: Pace, tasks: &Tasks) -> Self {
        let ring = Self::new(keys, Turn::Looking);
        let keeper = Keeper { ring: ring.clone(), source, pace, read: None };
        let stopping = tasks.stopping().clone();
        tasks.spawn_essential("jwt keys", async move {
            stopping.run_until_cancelled(keeper.run()).await;
            Ok::<_, Infallible>(())
        });
        ring
    }

    fn new(keys: KeySet, turn: Turn) -> Self {
        let known = watch::Sender::new(Arc::new(keys));
        Self(Arc::new(Inner { known, turn: Mutex::new(turn), wanted: Notify::new() }))
    }

    /// The keys that are known now.
    pub(super) fn known(&self) -> Known {
        let mut news = self.0.known.subscribe();
        let keys = Arc::clone(&news.borrow_and_update());
        Known { news, keys }
    }

    /// The keys that a look has found since; asks for a look if one is allowed, and waits for it, bounded. `None` if
    /// nobody has looked.
    pub(super) async fn newer(&self, known: Known) -> Option<Arc<KeySet>> {
        let Known { mut news, .. } = known;
        if !self.asks_for_a_look() {
            return news.has_changed().unwrap_or(false).then(|| Arc::clone(&news.borrow()));
        }
        timeout(WAIT_MAX, news.changed()).await.ok()?.ok()?;
        Some(Arc::clone(&news.borrow()))
    }

    /// Whether a look is under way, or was allowed and is now.
    fn asks_for_a_look(&self) -> bool {
        let mut turn = self.turn();
        match *turn {
            Turn::Fixed => false,
            Turn::Looking => true,
            Turn::Resting { until } if Instant::now() < until => false,
            Turn::Resting { .. } => {
                *turn = Turn::Looking;
                self.0.wanted.notify_one();
                true
            }
        }
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.0.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Keeper {
    ring: Keyring,
    source: Source,
    pace: Pace,
    /// What was read last.
    read: Option<Bytes>,
}

impl Keeper {
    async fn run(mut self) {
        let mut good_at = Instant::now();
        loop {
            let between = match self.look().await {
                Ok(fresh) => {
                    good_at = Instant::now();
                    fresh.unwrap_or(self.pace.between).clamp(self.pace.between_min, self.pace.between_max)
                }
                Err(why) => {
                    tracing::warn!("the keys that tokens are checked with are not read from {}: {why}", self.source);
                    self.keep(good_at);
                    self.pace.between_min
                }
            };
            let now = Instant::now();
            let until = now + self.pace.between_min;
            *self.ring.turn() = Turn::Resting { until };
            tokio::select! {
                () = sleep_until(now + between) => {}
                () = self.wanted_after(until) => {}
            }
            *self.ring.turn() = Turn::Looking;
        }
    }

    /// Reads the keys anew, and says how long they stay fresh.
    async fn look(&mut self) -> Result<Option<Duration>, SourceError> {
        let (json, fresh) = self.source.read().await?;
        if self.read.as_ref() == Some(&json) {
            self.ring.0.known.send_modify(|_| {});
            return Ok(fresh);
        }
        let keys = match read_jwks(&json) {
            // A set all the same: so an issuer withdraws its last key.
            Err(why @ BadJwks::NoneUsable) => {
                tracing::error!("no token is good any more, by what is read from {}: {why}", self.source);
                KeySet::default()
            }
            other => other?,
        };
        tracing::info!("keys that tokens are checked with, read from {}: {}", self.source, keys.len());
        self.ring.0.known.send_replace(Arc::new(keys));
        self.read = Some(json);
        Ok(fresh)
    }

    /// Keeps the keys that were good then, unless that is too long ago.
    fn keep(&mut self, good_at: Instant) {
        if good_at.elapsed() < self.pace.kept_max {
            self.ring.0.known.send_modify(|_| {});
        } else {
            tracing::error!("{} has not been readable for too long: its keys are no longer good", self.source);
            self.ring.0.known.send_replace(Arc::default());
            self.read = None;
        }
    }

    /// Waits until somebody asks for a look who may. A request that came in the very moment in which a look began anyhow
    /// still lies there when it has ended, and counts no more.
    async fn wanted_after(&self, until: Instant) {
        loop {
            self.ring.0.wanted.notified().await;
            if Instant::now() >= until {
                return;
            }
        }
    }
}
