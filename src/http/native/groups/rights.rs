//! What the members of a group may read, by the names that their callers say, and what callers may see of a group. The right
//! to the group is asked about at the gate; what a member holds, the broker asks about (`broker::groups::session`).

use crate::broker::error::Error;
use crate::broker::groups::describe::GroupState;
use crate::broker::groups::membership::Terms;
use crate::http::kit::caller::Asking;
use crate::http::kit::problem::Problem;
use crate::model::group::Subscription;

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

/// A group without what is about topics that the caller may not see.
pub fn only_what_is_seen(asking: &Asking, mut state: GroupState) -> GroupState {
    let rights = &asking.0.rights;
    state.partitions.retain(|partition| rights.may_see(&partition.topic));
    for member in &mut state.group.members {
        match &mut member.subscription {
            Subscription::Topics(topics) => topics.retain(|topic| rights.may_see(topic)),
            Subscription::Prefix(prefix) if rights.may_consume_prefix(prefix) => {}
            // As one that named topics of which none may be seen.
            Subscription::Prefix(_) => member.subscription = Subscription::Topics(Vec::new()),
        }
    }
    state
}

/// The refusal of a call that members stand in the way of, without topics that the caller may not see.
pub fn only_who_is_seen(asking: &Asking, mut error: Error) -> Error {
    if let Error::GroupActive { partitions, .. } = &mut error {
        partitions.retain(|partition| asking.0.rights.may_see(&partition.topic));
    }
    error
}
