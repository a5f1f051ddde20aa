//! The whole consumer in one call: join or go on, commit, renew, and the next records.

use std::future::Future;
use std::time::Duration;

use crate::broker::error::Error;
use crate::broker::groups::membership::Terms;
use crate::broker::groups::session::Session;
use crate::broker::handle::Broker;
use crate::broker::reader::Page;
use crate::broker::reader::PageLimit;
use crate::broker::reader::Reader;
use crate::groups::COMPANY_MAX;
use crate::groups::Urgency;
use crate::model::member_cursor::MemberCursor;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::permission::Rights;
use crate::model::position::Position;
use crate::store::group_contract::Commit;

/// What a member asks for.
#[derive(Debug, Clone)]
pub struct GroupPoll {
    /// The group.
    pub group: GroupName,
    /// The member.
    pub member: MemberName,
    /// What the caller may do.
    pub rights: Rights,
    /// How it takes part.
    pub terms: Terms,
    /// Where it was; without it a run begins.
    pub cursor: Option<MemberCursor>,
    /// Whether all before the cursor is committed.
    pub commit: bool,
    /// Where the group begins in a partition in which it has committed nothing.
    pub from: Position,
    /// How much it takes at once.
    pub limit: PageLimit,
    /// How long it waits for the first record; at most half its lease.
    pub wait: Duration,
}

/// What a member gets.
pub struct Polled {
    /// The member as it stands after the page.
    pub session: Session,
    /// The records.
    pub page: Page,
    /// Names their topics.
    pub reader: Reader,
}

impl Broker {
    /// Polls. Answers as soon as there is a record, or when the member's partitions change; otherwise empty after the
    /// wait, or when `cut_short` is ready.
    ///
    /// # Errors
    /// Those of [`Broker::begin_member`], [`Broker::resume_member`], [`Session::step`] and [`Session::page`].
    pub async fn poll_group(&self, poll: GroupPoll, cut_short: impl Future<Output = ()>) -> Result<Polled, Error> {
        let GroupPoll { group, member, rights, terms, cursor, commit, from, limit, wait } = poll;
        let known = cursor.as_ref().map(|cursor| cursor.held);
        let mut session = match cursor {
            None => self.begin_member(&group, &member, terms, from, &rights).await?,
            Some(cursor) => self.resume_member(&group, &member, cursor, terms, from, &rights).await?,
        };
        let has_committed = commit && known.is_some();
        let commit = if commit { Commit::Cursor(session.returned()) } else { Commit::Nothing };
        session.step(commit, Urgency::Now).await?;
        session.refresh().await?;
        let wait = wait.min(session.wait_max());
        // The last step before an empty answer keeps the lease at its full length from the answer on, and can wait for
        // the steps of others.
        let (quiet, company) =
            if wait > 2 * COMPANY_MAX { (Urgency::WithOthers, COMPANY_MAX) } else { (Urgency::Now, Duration::ZERO) };
        let over = async {
            tokio::select! {
                () = tokio::time::sleep(wait - company) => {}
                () = cut_short => {}
            }
        };
        let mut over = std::pin::pin!(over);
        // What the caller does not know of its partitions is not held back either.
        let known = known.unwrap_or_else(|| session.assigned());
        let mut last = wait.is_zero() || known != session.assigned();
        loop {
            // Lowered before it looks: what comes while it looks raises it again.
            session.records().lower();
            let (page, reader) = session.page(limit).await?;
            if page.records > 0 || last {
                return Ok(Polled { session, page, reader });
            }
            let urgency = tokio::select! {
                () = session.records().raised() => Urgency::Now,
                () = session.changes().raised() => Urgency::Now,
                () = &mut over => {
                    last = true;
                    quiet
                }
            };
            match session.step(Commit::Nothing, urgency).await {
                Ok(()) => {}
                Err(Error::NotPermitted) => return Err(Error::NotPermitted),
                // What it handed in is committed, and a refusal would say that it is not. The next poll hears of this.
                Err(_) if has_committed => return Ok(Polled { session, page, reader }),
                Err(error) => return Err(error),
            }
            last |= known != session.assigned();
        }
    }
}
