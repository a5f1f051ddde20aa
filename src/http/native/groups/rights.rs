//! What the members of a group may read. The right to the group is asked about at the gate; here it is about the topics.

use crate::broker::Broker;
use crate::broker::groups::describe::GroupState;
use crate::broker::groups::membership::Terms;
use crate::broker::groups::session::Session;
use crate::http::kit::caller::Asking;
use crate::http::kit::problem::Problem;
use crate::model::group::Subscription;
use crate::model::member_cursor::MemberCursor;

/// Lets pass who may read all that they subscribe to.
///
/// # Errors
/// `forbidden`.
pub fn may_subscribe(asking: &Asking, terms: &Terms) -> Result<(), Problem> {
    match &terms.subscription {
        None => Ok(()),
        Some(Subscription::Topics(topics)) => asking.consumes(topics),
        Some(Subscription::Prefix(prefix)) => asking.consumes_prefix(prefix),
    }
}

/// Lets pass who may read all topics that a cursor tells of. It may be another member's, or have been shown by somebody
/// with other rights.
///
/// # Errors
/// `forbidden`; errors of the store.
pub async fn may_go_on(asking: &Asking, broker: &Broker, cursor: &MemberCursor) -> Result<(), Problem> {
    if asking.0.rights.may_consume_prefix("") {
        return Ok(());
    }
    asking.consumes(&broker.topics_of(cursor).await?)
}

/// Lets pass who may read all that their member holds: the topics may be those that another caller subscribed to under
/// that name.
///
/// # Errors
/// `forbidden`.
pub fn may_hold(asking: &Asking, session: &Session) -> Result<(), Problem> {
    if asking.0.rights.may_consume_prefix("") {
        return Ok(());
    }
    asking.consumes(session.assignments().iter().map(|held| &held.topic))
}

/// A group without what is about topics that the caller may not see.
pub fn only_what_is_seen(asking: &Asking, mut state: GroupState) -> GroupState {
    let rights = &asking.0.rights;
    state.partitions.retain(|partition| rights.may_see(&partition.topic));
    for member in &mut state.group.members {
        if let Subscription::Topics(topics) = &mut member.subscription {
            topics.retain(|topic| rights.may_see(topic));
        }
    }
    state
}
