//! What the bodies of all requests may take of the memory together. Whoever reads one holds as much as it takes; where
//! there is nothing left, the request is refused and the others go on.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;

/// The memory for bodies. A clone is the same.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    held: AtomicUsize,
    bytes_max: usize,
}

impl Memory {
    /// So many bytes, all free.
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Inner { held: AtomicUsize::new(0), bytes_max }))
    }

    /// Holds nothing yet.
    pub fn hold(&self) -> Held {
        Held { memory: self.clone(), bytes: 0 }
    }

    /// How much is held now, in bytes.
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }
}

/// Memory that is held as long as the value lives.
#[derive(Debug)]
pub struct Held {
    memory: Memory,
    bytes: usize,
}

impl Held {
    /// Holds `bytes` in all, or what it held before if that was more.
    ///
    /// # Errors
    /// `overloaded`: there is not so much left.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Problem> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let Inner { held, bytes_max } = &*self.memory.0;
        let fits = |held: usize| held.checked_add(more).filter(|held| held <= bytes_max);
        if held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            let detail = "The bodies of other requests take all the memory there is for them.";
            return Err(Problem::new(Code::Overloaded, detail));
        }
        self.bytes += more;
        Ok(())
    }

    /// `bytes`, which hold the memory until the last of their clones is dropped.
    pub fn with(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Kept { bytes, _held: self })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.0.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Kept {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back_with_the_last_clone() {
        let memory = Memory::new(100);
        let (mut one, mut two) = (memory.hold(), memory.hold());
        one.grow_to(60).expect("room");
        one.grow_to(50).expect("no less");
        assert_eq!(two.grow_to(41).expect_err("no room").code(), Code::Overloaded);
        two.grow_to(40).expect("room");
        assert_eq!(memory.held(), 100);
        let bytes = one.with(Bytes::from_static(b"abc"));
        let part = bytes.slice(1..);
        drop((bytes, two));
        assert_eq!((memory.held(), &part[..]), (60, &b"bc"[..]));
        drop(part);
        assert_eq!(memory.held(), 0);
    }
}
