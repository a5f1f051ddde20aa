//! A member at work: what it holds, what was returned of it, and the next page. A poll is a short session, a stream a long
//! one; nothing of it outlives the request, since all that counts is in the rows and in the member's cursor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::error::Error;
use crate::broker::error::Unreadable;
use crate::broker::groups::membership::Terms;
use crate::broker::handle::Broker;
use crate::broker::reader::Choice;
use crate::broker::reader::Page;
use crate::broker::reader::PageLimit;
use crate::broker::reader::ReadTopic;
use crate::broker::reader::Reader;
use crate::groups::Urgency;
use crate::groups::plan::Event;
use crate::log::partition::Partition;
use crate::model::cursor::Next;
use crate::model::group::GroupPartition;
use crate::model::group::LEASE_MS_DEFAULT;
use crate::model::member_cursor::MemberCursor;
use crate::model::member_cursor::Returned;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::name::TopicName;
use crate::model::permission::Rights;
use crate::model::position::Position;
use crate::model::topic::PartitionId;
use crate::model::topic::Topic;
use crate::signal::Signal;
use crate::store::cluster_contract::Waiting;
use crate::store::group_contract;
use crate::store::group_contract::Commit;
use crate::store::group_contract::Step;
use crate::store::group_contract::Stepped;

/// A partition that a member holds.
struct Held {
    topic: Topic,
    partition: Arc<Partition>,
    epoch: u64,
    /// The next record to return.
    next: u64,
    /// It is to be let go of: nothing more is returned of it.
    leaving: bool,
}

impl Held {
    fn returned(&self, next_offset: u64) -> Returned {
        Returned { incarnation: self.topic.incarnation as u16, epoch: self.epoch, next_offset }
    }
}

/// A partition as a member is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: u32,
    /// Its epoch: the member that holds it next has a higher one.
    pub epoch: u64,
    /// The next record that the member will be given.
    pub next_offset: u64,
}

/// A member of a group, in one run. It never holds what its caller may not read: a step that finds such a partition fails
/// before anything is known of it.
pub struct Session {
    broker: Broker,
    group: GroupName,
    member: MemberName,
    /// What its caller may do: the topics may be those that another caller subscribed to under that name.
    rights: Rights,
    /// Where the group begins in a partition in which it has committed nothing.
    from: Position,
    lease_ms: u64,
    /// What was returned and is not known to be committed.
    cursor: MemberCursor,
    held: BTreeMap<PartitionId, Held>,
    records: Arc<Signal>,
    changes: Arc<Signal>,
}

impl Broker {
    /// Begins a run of a member for a caller with these rights. It holds nothing yet: that is for its first step.
    ///
    /// # Errors
    /// [`Error::TooManyMembers`], [`Error::TooManyGroupPartitions`]; errors of the store.
    pub async fn begin_member(
        &self,
        group: &GroupName,
        member: &MemberName,
        terms: Terms,
        from: Position,
        rights: &Rights,
    ) -> Result<Session, Error> {
        let Terms { subscription, lease_ms, strategy } = terms;
        let subscription =
            subscription.ok_or_else(|| Error::Internal("a member begins without a subscription".to_owned()))?;
        let lease_ms = lease_ms.unwrap_or(LEASE_MS_DEFAULT);
        let event = Event::Join { member: member.clone(), subscription, lease_ms, strategy };
        let epoch = self.join(group, member, event).await?;
        Ok(Session::new(self, group, member, MemberCursor::new(group, member, epoch), from, rights))
    }

    /// Begins a run of a member and takes what it can: nothing is read yet.
    ///
    /// # Errors
    /// Those of [`Broker::begin_member`] and [`Session::step`].
    pub async fn join_group(
        &self,
        group: &GroupName,
        member: &MemberName,
        terms: Terms,
        from: Position,
        rights: &Rights,
    ) -> Result<Session, Error> {
        let mut session = self.begin_member(group, member, terms, from, rights).await?;
        session.step(Commit::Nothing, Urgency::Now).await?;
        Ok(session)
    }

    /// Goes on in the run that a cursor tells of, for a caller with these rights. Whether that run still is one, its next
    /// step tells.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`] if the cursor is another member's; [`Error::OffsetOutOfRange`]; [`Error::UnknownGroup`];
    /// [`Error::NotPermitted`].
    pub async fn resume_member(
        &self,
        group: &GroupName,
        member: &MemberName,
        cursor: MemberCursor,
        terms: Terms,
        from: Position,
        rights: &Rights,
    ) -> Result<Session, Error> {
        let cursor = self.check_cursor(group, member, cursor, rights).await?;
        self.look_first(group).await?;
        self.renegotiate(group, member, cursor.epoch, &terms).await?;
        Ok(Session::new(self, group, member, cursor, from, rights))
    }
}

impl Session {
    fn new(
        broker: &Broker,
        group: &GroupName,
        member: &MemberName,
        mut cursor: MemberCursor,
        from: Position,
        rights: &Rights,
    ) -> Self {
        cursor.streamed = false;
        let changes = Signal::new();
        let run = Waiting { group: group.clone(), member: member.clone(), epoch: cursor.epoch };
        broker.groups().wake_on_change(run, &changes);
        Self {
            broker: broker.clone(),
            group: group.clone(),
            member: member.clone(),
            rights: rights.clone(),
            from,
            lease_ms: LEASE_MS_DEFAULT,
            cursor,
            held: BTreeMap::new(),
            records: Signal::new(),
            changes,
        }
    }

    /// The group.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// The member.
    pub fn member(&self) -> &MemberName {
        &self.member
    }

    /// The epoch of its run.
    pub fn epoch(&self) -> u64 {
        self.cursor.epoch
    }

    /// Its lease, in milliseconds.
    pub fn lease_ms(&self) -> u64 {
        self.lease_ms
    }

    /// A digest of what it holds and keeps: another one means that its assignments have changed.
    pub fn assigned(&self) -> u32 {
        self.cursor.held
    }

    /// From now on its cursors are ids of events.
    pub fn stream(&mut self) {
        self.cursor.streamed = true;
    }

    /// What was returned and is not known to be committed.
    pub fn cursor(&self) -> &MemberCursor {
        &self.cursor
    }

    /// Raised when there may be records: look for a page.
    pub fn records(&self) -> &Arc<Signal> {
        &self.records
    }

    /// Raised when there may be partitions to take or to let go of: take a step.
    pub fn changes(&self) -> &Arc<Signal> {
        &self.changes
    }

    /// What was returned, as positions to commit.
    pub fn returned(&self) -> Vec<group_contract::Position> {
        positions(&self.cursor)
    }

    /// The partitions that it holds and keeps.
    pub fn assignments(&self) -> Vec<Assignment> {
        let kept = self.held.iter().filter(|(_, held)| !held.leaving);
        kept.map(|(id, held)| Assignment {
            topic: held.topic.name.clone(),
            partition: id.partition,
            epoch: held.epoch,
            next_offset: held.next,
        })
        .collect()
    }

    /// Whether everything committed to the log of its partitions was returned.
    pub fn at_tail(&self) -> bool {
        self.held.values().filter(|held| !held.leaving).all(|held| held.next >= held.partition.high_watermark())
    }

    /// Commits, renews the lease, lets go of partitions that are to move and takes those that are free.
    ///
    /// # Errors
    /// [`Error::StaleEpoch`], [`Error::LeaseLost`], [`Error::UnknownMember`], [`Error::UnknownGroup`];
    /// [`Error::NotPermitted`] if the member holds what its caller may not read: the session is over then.
    pub async fn step(&mut self, commit: Commit, urgency: Urgency) -> Result<(), Error> {
        let returned = match &commit {
            // What is committed here is no reason to hold on to a partition.
            Commit::Cursor(_) => Vec::new(),
            _ => self.returned(),
        };
        self.changes.lower();
        let mut stepped = self.take_step(commit, returned.clone(), urgency).await?;
        self.lease_ms = stepped.lease_ms;
        let begins = self.hold(&stepped).await?;
        if !begins.is_empty() {
            stepped = self.take_step(Commit::Begin(begins), returned, Urgency::Now).await?;
            self.hold(&stepped).await?;
        }
        self.cursor.held = digest(self.kept());
        Ok(())
    }

    fn kept(&self) -> impl Iterator<Item = (PartitionId, u64)> {
        self.held.iter().filter(|(_, held)| !held.leaving).map(|(id, held)| (*id, held.epoch))
    }

    async fn take_step(
        &self,
        commit: Commit,
        returned: Vec<group_contract::Position>,
        urgency: Urgency,
    ) -> Result<Stepped, Error> {
        let (group, member) = (self.group.clone(), self.member.clone());
        let step = Step { group, member, epoch: self.cursor.epoch, commit, hand_over: Some(returned) };
        self.broker.take_step(step, urgency).await
    }

    /// Takes note of what the rows say it holds. Returns where the group begins in partitions where that is open.
    async fn hold(&mut self, stepped: &Stepped) -> Result<Vec<(PartitionId, u64)>, Error> {
        let mut before = std::mem::take(&mut self.held);
        let mut begins = Vec::new();
        for row in &stepped.held {
            let held = match before.remove(&row.id) {
                Some(held) => held,
                None => match self.open(row).await? {
                    Some(held) => held,
                    None => continue,
                },
            };
            let Some(committed) = row.committed else {
                match self.broker.resolve(&held.topic.name, &held.partition, self.from).await {
                    Ok(offset) => begins.push((row.id, offset)),
                    Err(Error::UnknownTopic(_)) => {}
                    Err(error) => return Err(error),
                }
                continue;
            };
            let returned = self.cursor.partitions.get(&row.id).filter(|returned| returned.epoch == row.epoch);
            let next = returned.map_or(committed, |returned| returned.next_offset.max(committed));
            self.held.insert(row.id, Held { epoch: row.epoch, next, leaving: row.is_leaving(), ..held });
        }
        let still_out = |id: &PartitionId, returned: &Returned| {
            let row = stepped.held.iter().find(|row| row.id == *id && row.epoch == returned.epoch);
            row.is_some_and(|row| row.committed.is_none_or(|committed| committed < returned.next_offset))
        };
        self.cursor.partitions.retain(|id, returned| still_out(id, returned));
        Ok(begins)
    }

    /// Opens a partition, if its caller may read it. There is none of a topic that was deleted: the next look takes it from
    /// the group.
    async fn open(&self, row: &GroupPartition) -> Result<Option<Held>, Error> {
        let Some(known) = self.broker.catalog().find_by_id(row.id.topic).await? else { return Ok(None) };
        let topic = known.topic.clone();
        if !self.rights.may_consume(&topic.name) {
            // Nothing more is returned of what it is to let go of.
            return if row.is_leaving() { Ok(None) } else { Err(Error::NotPermitted) };
        }
        let partition = match self.broker.partition(&topic, row.id.partition).await {
            Ok(partition) => partition,
            Err(Error::UnknownTopic(_) | Error::UnknownPartition { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        partition.wake_on_records(&self.records);
        Ok(Some(Held { topic, partition, epoch: row.epoch, next: 0, leaving: row.is_leaving() }))
    }

    /// The next records of the partitions that it keeps, in turn, with the reader that names their topics. What is
    /// returned is noted in the cursor.
    ///
    /// # Errors
    /// [`Error::OffsetExpired`] if retention has passed a position: its cursor goes on behind the gap.
    /// [`Error::OffsetOutOfRange`]; errors of the store.
    pub async fn page(&mut self, limit: PageLimit) -> Result<(Page, Reader), Error> {
        self.check_positions()?;
        let chosen = self.choose();
        let mut topics: Vec<ReadTopic> = Vec::new();
        let mut positions: Vec<Vec<Next>> = Vec::new();
        for id in &chosen {
            let held = &self.held[id];
            if topics.last().is_none_or(|read| read.name != held.topic.name) {
                topics.push(ReadTopic { name: held.topic.name.clone(), topic: Some(held.topic.clone()) });
                positions.push(Vec::new());
            }
            let of_topic = positions.last_mut().expect("one per topic");
            of_topic.push(Next { partition: id.partition, offset: held.next });
        }
        let opened = Reader::new(self.broker.clone(), topics, positions, 0, Choice::default()).await;
        // A topic that was deleted meanwhile: the next look takes it from the group.
        let mut reader = match opened {
            Ok(reader) => reader,
            Err(Error::UnknownTopic(_)) => return Ok((Page::default(), self.empty_reader().await?)),
            Err(error) => return Err(error),
        };
        let page = match reader.page(limit, None).await {
            Ok(page) => page,
            // It moved on while we looked; our own word for it has the member's cursor.
            Err(error @ Error::OffsetExpired { .. }) => return self.check_positions().and(Err(error)),
            Err(Error::UnknownTopic(_) | Error::TopicRecreated { .. }) => Page::default(),
            Err(error) => return Err(error),
        };
        self.note(&chosen, &reader);
        Ok((page, reader))
    }

    async fn empty_reader(&self) -> Result<Reader, Error> {
        Reader::new(self.broker.clone(), Vec::new(), Vec::new(), 0, Choice::default()).await
    }

    /// Which partitions the next page is of, in order of topics: those that have something, beginning with the one whose
    /// turn it is, as many as the cursor has room for.
    fn choose(&self) -> Vec<PartitionId> {
        let turn = self.cursor.turn % self.held.len().max(1);
        let mut chosen = Vec::new();
        let mut grown = self.cursor.clone();
        for (id, held) in self.held.iter().skip(turn).chain(self.held.iter().take(turn)) {
            let end = held.partition.high_watermark();
            if !held.leaving && held.next < end && grown.has_room(id, end) {
                grown.partitions.insert(*id, held.returned(end));
                chosen.push(*id);
            }
        }
        chosen
    }

    /// Takes the reader's position for its own. Whoever was served last is last next time.
    fn note(&mut self, chosen: &[PartitionId], reader: &Reader) {
        let after = reader.cursor().topics.iter().flat_map(|topic| &topic.partitions);
        for (id, next) in chosen.iter().zip(after) {
            let held = self.held.get_mut(id).expect("chosen of what is held");
            if next.offset > held.next {
                held.next = next.offset;
                self.cursor.partitions.insert(*id, held.returned(next.offset));
                self.cursor.turn = self.held.range(..=*id).count();
            }
        }
    }

    /// Whether every position can be read.
    fn check_positions(&self) -> Result<(), Error> {
        let mut expired = Vec::new();
        let mut beyond = Vec::new();
        let mut cursor = self.cursor.clone();
        for (id, held) in self.held.iter().filter(|(_, held)| !held.leaving) {
            let unreadable = || Broker::unreadable(&held.topic.name, &held.partition, held.next);
            if held.next > held.partition.high_watermark() {
                beyond.push(unreadable());
            }
            let start = held.partition.log_start_offset();
            if held.next < start && cursor.has_room(id, start) {
                expired.push(unreadable());
                cursor.partitions.insert(*id, held.returned(start));
            }
        }
        match (beyond.is_empty(), expired.is_empty()) {
            (false, _) => Err(Error::OffsetOutOfRange(beyond)),
            (true, false) => Err(Error::OffsetExpired { partitions: expired, cursor: Some(cursor.to_string()) }),
            (true, true) => Ok(()),
        }
    }

    /// Moves behind what retention has dropped, and says what that was.
    pub fn skip_gaps(&mut self) -> Vec<Unreadable> {
        let mut gaps = Vec::new();
        for (id, held) in self.held.iter_mut().filter(|(_, held)| !held.leaving) {
            let start = held.partition.log_start_offset();
            if held.next < start && self.cursor.has_room(id, start) {
                gaps.push(Broker::unreadable(&held.topic.name, &held.partition, held.next));
                held.next = start;
                self.cursor.partitions.insert(*id, held.returned(start));
            }
        }
        gaps
    }

    /// Waits until all is known that any node committed to what it holds before the call.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn refresh(&self) -> Result<(), Error> {
        let partitions: Vec<Arc<Partition>> = self.held.values().map(|held| Arc::clone(&held.partition)).collect();
        match self.held.values().next() {
            Some(held) => self.broker.refresh(&held.topic.name, partitions).await,
            None => Ok(()),
        }
    }

    /// The longest a poll may wait: half the lease.
    pub fn wait_max(&self) -> Duration {
        Duration::from_millis(self.lease_ms / 2)
    }
}

/// Names a set of partitions, each held under its epoch.
fn digest(kept: impl Iterator<Item = (PartitionId, u64)>) -> u32 {
    kept.fold(0, |digest, (id, epoch)| {
        let partition = u64::from(id.partition).to_le_bytes();
        let bytes = [id.topic.0.to_le_bytes(), partition, epoch.to_le_bytes()].concat();
        crc32c::crc32c_append(digest, &bytes)
    })
}

/// A cursor as positions to commit.
pub(super) fn positions(cursor: &MemberCursor) -> Vec<group_contract::Position> {
    let position = |(id, returned): (&PartitionId, &Returned)| group_contract::Position {
        partition: *id,
        epoch: returned.epoch,
        next_offset: returned.next_offset,
    };
    cursor.partitions.iter().map(position).collect()
}
