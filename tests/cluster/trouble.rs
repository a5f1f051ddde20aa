//! Who is killed when.

use std::time::Duration;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Node(usize),
    Database,
}

/// How long a node stays away, in milliseconds.
const NODE_AWAY_MS: std::ops::Range<u64> = 200..1500;

/// How long the database stays away, in milliseconds.
const DATABASE_AWAY_MS: std::ops::Range<u64> = 1000..4000;

/// Everybody as often as is to be, in an order that chance makes.
pub(crate) fn plan(random: &mut fastrand::Rng, nodes: usize, each_node: usize, database: usize) -> Vec<Victim> {
    let killed = (0..nodes).flat_map(|node| std::iter::repeat_n(Victim::Node(node), each_node));
    let mut victims: Vec<_> = killed.chain(std::iter::repeat_n(Victim::Database, database)).collect();
    random.shuffle(&mut victims);
    victims
}

impl Victim {
    /// For how long it stays away.
    pub(crate) fn away(self, random: &mut fastrand::Rng) -> Duration {
        Duration::from_millis(match self {
            Self::Node(_) => random.u64(NODE_AWAY_MS),
            Self::Database => random.u64(DATABASE_AWAY_MS),
        })
    }
}
