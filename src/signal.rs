//! Waking those who wait for records: a flag with a waker, and lists of them.
//!
//! A reader registers first, then reads, then waits: what is committed in between has raised its signal already, so no
//! wake-up is missed. A signal says "look again", never what there is to see.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use futures_util::task::AtomicWaker;

/// What one reader waits on. It can be in many lists at once; dropping it takes it out of all of them.
#[derive(Debug, Default)]
pub struct Signal {
    raised: AtomicBool,
    waker: AtomicWaker,
}

impl Signal {
    /// A signal that nobody has raised yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Says "look again".
    pub fn raise(&self) {
        // Already raised and not yet looked at: the reader will look anyway.
        if !self.raised.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Lowers the signal: call it before looking, so that what comes while looking raises it again.
    pub fn lower(&self) {
        self.raised.store(false, Ordering::Release);
    }

    /// Whether it was raised since it was last lowered.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// Ready once it is raised.
    pub fn poll_raised(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_raised() {
            return Poll::Ready(());
        }
        self.waker.register(cx.waker());
        if self.is_raised() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits until it is raised.
    pub async fn raised(&self) {
        std::future::poll_fn(|cx| self.poll_raised(cx)).await;
    }
}

/// Signals that are raised together.
#[derive(Debug, Default)]
pub struct Waiters {
    list: Mutex<Vec<Weak<Signal>>>,
}

impl Waiters {
    /// Adds a signal, once, for as long as it lives.
    pub fn add(&self, signal: &Arc<Signal>) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of readers that left are cleared out when the list would have to grow: paid for by the additions.
        if list.len() == list.capacity() {
            list.retain(|waiting| waiting.strong_count() > 0);
        }
        list.push(Arc::downgrade(signal));
    }

    /// Raises every signal in the list.
    pub fn raise(&self) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|waiting| match waiting.upgrade() {
            Some(signal) => {
                signal.raise();
                true
            }
            None => false,
        });
    }

    /// Whether nobody waits here.
    pub fn is_empty(&self) -> bool {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.iter().all(|waiting| waiting.strong_count() == 0)
    }
}

/// Signals by what they wait for: those of one key are raised together.
#[derive(Debug)]
pub struct KeyedWaiters<K> {
    by_key: Mutex<HashMap<K, Arc<Waiters>>>,
}

impl<K> Default for KeyedWaiters<K> {
    fn default() -> Self {
        Self { by_key: Mutex::default() }
    }
}

impl<K: Eq + Hash> KeyedWaiters<K> {
    /// Adds a signal under `key`.
    pub fn add(&self, key: K, signal: &Arc<Signal>) {
        let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        // As in a single list: keys nobody waits for are cleared out when the table would have to grow.
        if by_key.len() == by_key.capacity() {
            by_key.retain(|_, waiters| {
                waiters.list.lock().unwrap_or_else(PoisonError::into_inner).retain(|w| w.strong_count() > 0);
                !waiters.is_empty()
            });
        }
        by_key.entry(key).or_default().add(signal);
    }

    /// Whether nobody waits here.
    pub fn is_empty(&self) -> bool {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The keys that somebody waits under.
    pub fn keys(&self) -> Vec<K>
    where
        K: Clone,
    {
        let by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        by_key.iter().filter(|(_, waiters)| !waiters.is_empty()).map(|(key, _)| key.clone()).collect()
    }

    /// Raises all of them.
    pub fn raise_all(&self) {
        let all: Vec<Arc<Waiters>> = {
            let by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
            by_key.values().map(Arc::clone).collect()
        };
        all.iter().for_each(|waiters| waiters.raise());
    }

    /// Raises those under `key`.
    pub fn raise(&self, key: &K) {
        let waiters = self.by_key.lock().unwrap_or_else(PoisonError::into_inner).get(key).map(Arc::clone);
        if let Some(waiters) = waiters {
            waiters.raise();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_raised_before_the_wait_is_not_missed() {
        let waiters = Waiters::default();
        let signal = Signal::new();
        waiters.add(&signal);
        signal.lower();
        waiters.raise();
        signal.raised().await;
        signal.lower();
        assert!(!signal.is_raised());
        waiters.raise();
        signal.raised().await;
    }

    #[test]
    fn readers_that_left_do_not_pile_up() {
        let waiters = Waiters::default();
        for _ in 0..10_000 {
            waiters.add(&Signal::new());
        }
        assert!(waiters.list.lock().expect("no panic").len() < 64);
        let keyed = KeyedWaiters::default();
        for key in 0..10_000 {
            keyed.add(key, &Signal::new());
        }
        assert!(keyed.by_key.lock().expect("no panic").len() < 64);
    }

    #[test]
    fn only_the_key_that_was_written_is_raised() {
        let keyed = KeyedWaiters::default();
        let (a, b) = (Signal::new(), Signal::new());
        keyed.add("a", &a);
        keyed.add("b", &b);
        keyed.raise(&"a");
        assert!(a.is_raised() && !b.is_raised());
    }
}
