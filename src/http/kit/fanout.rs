//! One writer, many readers: finished bytes in a ring, shared by all who follow it.
//!
//! A frame costs each follower a reference count and a socket write. A follower has no task, channel or timer: it is a
//! number in the ring, and its waker stands in the list only while it waits. Whoever falls out of the ring is told so
//! and finds its way back by itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Bytes;

/// Frames kept, with the position after each.
#[derive(Debug)]
pub struct Ring<P, E> {
    state: Mutex<State<P, E>>,
    bytes_max: usize,
}

#[derive(Debug)]
struct State<P, E> {
    frames: VecDeque<(Bytes, Arc<P>)>,
    /// Number of the first frame kept.
    first: u64,
    bytes: usize,
    /// The position after the last frame.
    head: Arc<P>,
    ended: Option<E>,
    wakers: Vec<Waker>,
    /// Counts how often the list of wakers was emptied: tells a follower whether its waker still stands in it.
    round: u64,
    /// The list before, emptied: so that ten thousand wakers do not allocate anew for each frame.
    spare: Vec<Waker>,
}

/// Where a follower is.
#[derive(Debug)]
pub struct Follower {
    /// Number of the frame it takes next.
    next: u64,
    /// Where its waker stands: the round and the slot.
    waiting: Option<(u64, usize)>,
}

/// What a follower gets.
#[derive(Debug)]
pub enum Next<P, E> {
    /// A frame, and the position after it.
    Frame(Bytes, Arc<P>),
    /// It was too slow: the frame it wants is no longer kept.
    Behind,
    /// There will be no further frame.
    Ended(E),
}

impl<P, E: Clone> Ring<P, E> {
    /// An empty ring that begins at `head` and keeps frames of about `bytes_max` bytes, but at least one.
    pub fn new(head: P, bytes_max: usize) -> Self {
        let state = State {
            frames: VecDeque::new(),
            first: 0,
            bytes: 0,
            head: Arc::new(head),
            ended: None,
            wakers: Vec::new(),
            round: 0,
            spare: Vec::new(),
        };
        Self { state: Mutex::new(state), bytes_max }
    }

    fn lock(&self) -> MutexGuard<'_, State<P, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame and wakes everyone.
    pub fn publish(&self, bytes: Bytes, after: P) {
        self.change(|state| {
            state.bytes += bytes.len();
            state.head = Arc::new(after);
            let head = Arc::clone(&state.head);
            state.frames.push_back((bytes, head));
            while state.bytes > self.bytes_max && state.frames.len() > 1 {
                let (oldest, _) = state.frames.pop_front().expect("there are at least two");
                state.bytes -= oldest.len();
                state.first += 1;
            }
        });
    }

    /// Says that nothing more will come, and why.
    pub fn end(&self, why: E) {
        self.change(|state| {
            state.ended.get_or_insert(why);
        });
    }

    fn change(&self, change: impl FnOnce(&mut State<P, E>)) {
        let mut wakers = {
            let mut state = self.lock();
            change(&mut state);
            state.round += 1;
            let spare = std::mem::take(&mut state.spare);
            std::mem::replace(&mut state.wakers, spare)
        };
        wakers.drain(..).for_each(Waker::wake);
        let mut state = self.lock();
        if wakers.capacity() > state.spare.capacity() {
            state.spare = wakers;
        }
    }

    /// The position after the last frame, and a follower that takes what comes after it.
    pub fn join(&self) -> (Arc<P>, Follower) {
        let state = self.lock();
        let next = state.first + state.frames.len() as u64;
        (Arc::clone(&state.head), Follower { next, waiting: None })
    }

    /// Whether there will be no further frame.
    pub fn has_ended(&self) -> bool {
        self.lock().ended.is_some()
    }

    /// The follower's next frame, or a wake-up when it is there.
    pub fn poll_next(&self, follower: &mut Follower, cx: &mut Context<'_>) -> Poll<Next<P, E>> {
        let mut state = self.lock();
        let Some(index) = follower.next.checked_sub(state.first) else { return Poll::Ready(Next::Behind) };
        if let Some((bytes, after)) = usize::try_from(index).ok().and_then(|index| state.frames.get(index)) {
            follower.next += 1;
            return Poll::Ready(Next::Frame(bytes.clone(), Arc::clone(after)));
        }
        if let Some(why) = &state.ended {
            return Poll::Ready(Next::Ended(why.clone()));
        }
        match follower.waiting {
            Some((round, slot)) if round == state.round => state.wakers[slot].clone_from(cx.waker()),
            _ => {
                follower.waiting = Some((state.round, state.wakers.len()));
                state.wakers.push(cx.waker().clone());
            }
        }
        Poll::Pending
    }

    /// Waits until there is a frame after the follower's place, or an end; takes nothing.
    pub async fn changed(&self, follower: &mut Follower) {
        std::future::poll_fn(|cx| {
            let at = follower.next;
            let polled = self.poll_next(follower, cx);
            follower.next = at;
            polled.map(drop)
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn poll(ring: &Ring<u32, &'static str>, follower: &mut Follower) -> Option<Next<u32, &'static str>> {
        std::future::poll_fn(|cx| ring.poll_next(follower, cx)).now_or_never()
    }

    #[test]
    fn everyone_gets_every_frame_in_order() {
        let ring = Ring::new(0, 1000);
        let (_, mut early) = ring.join();
        ring.publish(Bytes::from_static(b"a"), 1);
        let (head, mut late) = ring.join();
        assert_eq!(*head, 1);
        ring.publish(Bytes::from_static(b"b"), 2);
        for (follower, expected) in [(&mut early, &["a", "b"][..]), (&mut late, &["b"][..])] {
            for wanted in expected {
                assert!(matches!(poll(&ring, follower), Some(Next::Frame(bytes, _)) if bytes == wanted.as_bytes()));
            }
            assert!(poll(&ring, follower).is_none());
        }
    }

    #[test]
    fn a_slow_follower_is_told() {
        let ring = Ring::new(0, 3);
        let (_, mut slow) = ring.join();
        for frame in 1..=5 {
            ring.publish(Bytes::from_static(b"x"), frame);
        }
        assert!(matches!(poll(&ring, &mut slow), Some(Next::Behind)));
        let huge = vec![0; 100];
        ring.publish(Bytes::from(huge), 6);
        let (_, mut next) = ring.join();
        assert!(poll(&ring, &mut next).is_none());
    }

    #[test]
    fn frames_come_before_the_end() {
        let ring = Ring::new(0, 1000);
        let (_, mut follower) = ring.join();
        ring.publish(Bytes::from_static(b"last"), 1);
        ring.end("deleted");
        assert!(matches!(poll(&ring, &mut follower), Some(Next::Frame(..))));
        assert!(matches!(poll(&ring, &mut follower), Some(Next::Ended("deleted"))));
    }

    #[tokio::test]
    async fn waiting_twice_takes_one_place() {
        let ring = Arc::new(Ring::<u32, ()>::new(0, 1000));
        let (_, mut follower) = ring.join();
        for _ in 0..3 {
            assert!(ring.changed(&mut follower).now_or_never().is_none());
        }
        assert_eq!(ring.lock().wakers.len(), 1);
        ring.publish(Bytes::from_static(b"a"), 1);
        ring.changed(&mut follower).await;
        assert!(matches!(
            ring.poll_next(&mut follower, &mut Context::from_waker(Waker::noop())),
            Poll::Ready(Next::Frame(..))
        ));
    }
}
