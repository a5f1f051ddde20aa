//! Commits and signs of life, by members that keep track themselves.

use crate::broker::error::Error;
use crate::broker::error::NamedPartition;
use crate::broker::error::Unreadable;
use crate::broker::groups::session::positions;
use crate::broker::handle::Broker;
use crate::groups::Urgency;
use crate::model::cursor::PARTITIONS_MAX;
use crate::model::group::GroupPartition;
use crate::model::member_cursor::MemberCursor;
use crate::model::member_cursor::Returned;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::name::TopicName;
use crate::model::permission::Rights;
use crate::model::topic::PartitionId;
use crate::store::group_contract::Commit;
use crate::store::group_contract::NamedOffset;
use crate::store::group_contract::Position;
use crate::store::group_contract::Step;
use crate::store::group_contract::Stepped;

/// Partitions in a commit from which on a stream is told of it: its cursor may have been full.
const CROWDED: usize = PARTITIONS_MAX / 2;

/// An offset that a caller names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetToCommit {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: u32,
    /// The next record to read.
    pub next_offset: u64,
    /// A text to keep beside it.
    pub metadata: Option<String>,
}

impl Broker {
    /// Commits all before a cursor, or nothing, for a caller with these rights. What is committed already stays.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`], [`Error::UnknownGroup`], [`Error::UnknownMember`], [`Error::StaleEpoch`],
    /// [`Error::LeaseLost`], [`Error::NotPermitted`].
    pub async fn commit_cursor(
        &self,
        group: &GroupName,
        member: &MemberName,
        cursor: MemberCursor,
        rights: &Rights,
    ) -> Result<Vec<NamedPartition>, Error> {
        let cursor = self.check_cursor(group, member, cursor, rights).await?;
        // The cursor of an answer tells of all that was returned: with it, what is to move may go.
        let hand_over = (!cursor.streamed).then(Vec::new);
        self.commit(group, member, cursor.epoch, Commit::Cursor(positions(&cursor)), hand_over).await
    }

    /// Commits offsets by name, all or none.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::UnknownPartition`]; [`Error::OffsetOutOfRange`] beyond the high watermark,
    /// [`Error::OffsetExpired`] below the log start, [`Error::OffsetRegression`]; as [`Broker::commit_cursor`].
    pub async fn commit_offsets(
        &self,
        group: &GroupName,
        member: &MemberName,
        epoch: u64,
        offsets: Vec<OffsetToCommit>,
    ) -> Result<Vec<NamedPartition>, Error> {
        let mut named = Vec::with_capacity(offsets.len());
        let (mut beyond, mut expired) = (Vec::new(), Vec::new());
        for OffsetToCommit { topic: name, partition, next_offset, metadata } in offsets {
            let topic = self.topic(&name).await?;
            let partition = self.fresh_partition(&topic, partition).await?;
            if next_offset > partition.high_watermark() {
                beyond.push(Self::unreadable(&name, &partition, next_offset));
            } else if next_offset < partition.log_start_offset() {
                expired.push((partition.id, topic.incarnation, Self::unreadable(&name, &partition, next_offset)));
            }
            named.push(NamedOffset { partition: partition.id, next_offset, metadata });
        }
        if beyond.is_empty() && expired.is_empty() {
            return self.commit(group, member, epoch, Commit::Offsets(named), None).await;
        }
        // Whoever may not commit at all is told that first.
        let stepped = self.take_step(step(group, member, epoch, Commit::Nothing, None), Urgency::Now).await?;
        if !beyond.is_empty() {
            return Err(Error::OffsetOutOfRange(beyond));
        }
        Err(behind(MemberCursor::new(group, member, epoch), &stepped, expired))
    }

    /// Renews a member's lease; its length, in milliseconds.
    ///
    /// # Errors
    /// [`Error::UnknownGroup`], [`Error::UnknownMember`], [`Error::StaleEpoch`], [`Error::LeaseLost`].
    pub async fn heartbeat(&self, group: &GroupName, member: &MemberName, epoch: u64) -> Result<u64, Error> {
        Ok(self.take_step(step(group, member, epoch, Commit::Nothing, None), Urgency::Now).await?.lease_ms)
    }

    async fn commit(
        &self,
        group: &GroupName,
        member: &MemberName,
        epoch: u64,
        commit: Commit,
        hand_over: Option<Vec<Position>>,
    ) -> Result<Vec<NamedPartition>, Error> {
        let stepped = self.take_step(step(group, member, epoch, commit, hand_over), Urgency::Now).await?;
        if stepped.committed.iter().any(GroupPartition::is_leaving) || stepped.committed.len() >= CROWDED {
            // A stream of this member may let go of it now, or has room for others in its cursor.
            self.groups().wake(group, std::slice::from_ref(member));
        }
        self.named(stepped.committed).await
    }
}

fn step(group: &GroupName, member: &MemberName, epoch: u64, commit: Commit, hand_over: Option<Vec<Position>>) -> Step {
    Step { group: group.clone(), member: member.clone(), epoch, commit, hand_over }
}

/// The refusal of offsets that retention has passed; its cursor commits behind the gap.
fn behind(mut cursor: MemberCursor, stepped: &Stepped, expired: Vec<(PartitionId, u64, Unreadable)>) -> Error {
    for (id, incarnation, unreadable) in &expired {
        if let Some(row) = stepped.held.iter().find(|row| row.id == *id) {
            let next_offset = unreadable.log_start_offset;
            let returned = Returned { incarnation: *incarnation as u16, epoch: row.epoch, next_offset };
            cursor.partitions.insert(*id, returned);
        }
    }
    let partitions = expired.into_iter().map(|(_, _, unreadable)| unreadable).collect();
    Error::OffsetExpired { partitions, cursor: Some(cursor.to_string()) }
}
