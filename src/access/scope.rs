//! What a ticket is for.

use crate::model::name::GroupName;
use crate::model::name::TopicName;
use crate::model::permission::Rights;

/// What a ticket is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The records of this topic.
    Topic(TopicName),
    /// The streams of members of this group.
    Group(GroupName),
}

impl Scope {
    /// What of `rights` is in the scope.
    pub(super) fn narrow(&self, rights: &Rights) -> Rights {
        match self {
            Self::Topic(topic) => rights.only_topic(topic),
            Self::Group(group) => rights.only_group(group),
        }
    }
}
