//! What a member's cursor says, held against what there is and what its bearer may read. A cursor is input: its checksum
//! finds slips and no lies, and topics stand in it by ids that are easily counted.

use std::sync::Arc;

use crate::broker::error::Error;
use crate::broker::handle::Broker;
use crate::groups::Urgency;
use crate::model::member_cursor::MemberCursor;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::permission::Rights;
use crate::store::group_contract::Commit;
use crate::store::group_contract::Step;

impl Broker {
    /// Refuses the cursor of another member or database, and one that lies beyond the end. Leaves out what it says of topics
    /// that are gone and, in the same way, of those that the caller may not read: whoever makes one up learns nothing,
    /// not even which ids there are.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`], [`Error::OffsetOutOfRange`]; [`Error::NotPermitted`] if something was left out and the
    /// member holds what the caller may not read.
    pub(super) async fn check_cursor(
        &self,
        group: &GroupName,
        member: &MemberName,
        mut cursor: MemberCursor,
        rights: &Rights,
    ) -> Result<MemberCursor, Error> {
        if !cursor.belongs_to(group, member) {
            let whose =
                format!("this cursor was not given to member `{member}` of group `{group}`: poll without `cursor`");
            return Err(Error::InvalidCursor(whose));
        }
        let told = cursor.partitions.len();
        let mut beyond = Vec::new();
        for (id, returned) in cursor.partitions.clone() {
            let known = self.catalog().find_by_id(id.topic).await?;
            let Some(known) = known.filter(|known| rights.may_consume(&known.topic.name)) else {
                cursor.partitions.remove(&id);
                continue;
            };
            if known.topic.incarnation as u16 != returned.incarnation {
                let foreign = "this cursor comes from another database: poll without `cursor`".to_owned();
                return Err(Error::InvalidCursor(foreign));
            }
            let partition = self.partition(&known.topic, id.partition).await?;
            if returned.next_offset > partition.high_watermark() {
                self.refresh(&known.topic.name, vec![Arc::clone(&partition)]).await?;
            }
            if returned.next_offset > partition.high_watermark() {
                beyond.push(Self::unreadable(&known.topic.name, &partition, returned.next_offset));
            }
        }
        if cursor.partitions.len() < told {
            self.check_held(group, member, cursor.epoch, rights).await?;
        }
        if !beyond.is_empty() {
            return Err(Error::OffsetOutOfRange(beyond));
        }
        Ok(cursor)
    }

    /// Refuses who may not read all that a member holds, before anything is done for them.
    async fn check_held(
        &self,
        group: &GroupName,
        member: &MemberName,
        epoch: u64,
        rights: &Rights,
    ) -> Result<(), Error> {
        let (group, member) = (group.clone(), member.clone());
        let step = Step { group, member, epoch, commit: Commit::Nothing, hand_over: None };
        // Whatever refuses this step refuses the one that is to come as well, and knows more about it.
        let Ok(stepped) = self.take_step(step, Urgency::Now).await else { return Ok(()) };
        let kept = stepped.held.into_iter().filter(|row| !row.is_leaving()).collect();
        let held = self.named(kept).await?;
        if held.iter().all(|held| rights.may_consume(&held.topic)) { Ok(()) } else { Err(Error::NotPermitted) }
    }
}
