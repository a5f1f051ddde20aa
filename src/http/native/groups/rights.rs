//! What the members of a group may read, by the names that their callers say, and what callers may see of a group. The right
//! to the group is asked about at the gate; what a member holds, the broker asks about (`broker::groups::session`).

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
        if let Subscription::Topics(topics) = &mut member.subscription {
            topics.retain(|topic| rights.may_see(topic));
        }
    }
    state
}
