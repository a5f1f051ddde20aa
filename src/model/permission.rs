//! What a caller may do: permissions, and the questions that are asked of them. Deny is the default; there is no rule that
//! takes a right away again.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::model::name::GroupName;
use crate::model::name::NAME_BYTES_MAX;
use crate::model::name::NameError;
use crate::model::name::TopicName;

/// Permissions that one caller may have. Every question looks at all of them.
pub const PERMISSIONS_MAX: usize = 64;

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Write records, also to a topic that comes into being by that.
    Produce,
    /// Read records; with a group, as its member: commit, renew, leave.
    Consume,
    /// Make, change and delete topics, drop records, reset and delete groups; includes [`Verb::Produce`] and
    /// [`Verb::Consume`]. On all topics: also see to keys, and all that [`Verb::Metrics`] may.
    Admin,
    /// Read the metrics.
    Metrics,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Produce, Self::Consume, Self::Admin, Self::Metrics];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Consume => "consume",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
        }
    }

    /// Whether who may do this may do `other` as well, on the same names.
    fn includes(self, other: Self) -> bool {
        self == other || (self == Self::Admin && matches!(other, Self::Produce | Self::Consume))
    }
}

/// Names that a permission is about: one exact name, or all that begin with a prefix, written `prefix*`. `*` alone is every
/// name. There is no `*` anywhere else, so a name is looked up in one comparison and nobody is surprised.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    /// The name or the prefix, without the `*`.
    text: Arc<str>,
    is_prefix: bool,
}

impl Pattern {
    /// Every name.
    pub fn all() -> Self {
        Self { text: Arc::from(""), is_prefix: true }
    }

    /// This name and no other. The text of a valid name.
    fn exact(name: &str) -> Self {
        Self { text: Arc::from(name), is_prefix: false }
    }

    /// Whether it is every name.
    pub fn is_all(&self) -> bool {
        self.is_prefix && self.text.is_empty()
    }

    /// Whether `name` is one of them.
    pub fn matches(&self, name: &str) -> bool {
        if self.is_prefix { name.starts_with(&*self.text) } else { name == &*self.text }
    }

    /// Whether all names that begin with `prefix` are among them.
    pub fn matches_prefix(&self, prefix: &str) -> bool {
        self.is_prefix && prefix.starts_with(&*self.text)
    }
}

impl FromStr for Pattern {
    type Err = PermissionError;

    fn from_str(text: &str) -> Result<Self, PermissionError> {
        let refusal = |why| PermissionError::Pattern(text.chars().take(NAME_BYTES_MAX + 1).collect(), why);
        match text.strip_suffix('*') {
            None => text.parse::<TopicName>().map(|name| Self::exact(name.as_str())).map_err(refusal),
            Some(prefix) if prefix.len() > NAME_BYTES_MAX => Err(refusal(NameError::Length)),
            Some(prefix) if prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) => {
                Ok(Self { text: Arc::from(prefix), is_prefix: true })
            }
            Some(_) => Err(refusal(NameError::Character)),
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = PermissionError;

    fn try_from(text: String) -> Result<Self, PermissionError> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.is_prefix { f.write_str("*") } else { Ok(()) }
    }
}

/// Why something is no permission, or too many of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PermissionError {
    /// Not a name, and not a prefix with `*`.
    #[error("`{0}` is neither a name nor the beginning of names followed by one `*`: {1}")]
    Pattern(String, NameError),
    /// No such verb.
    #[error("a verb is `produce`, `consume`, `admin` or `metrics`, and not `{0}`")]
    Verb(String),
    /// A permission about nothing.
    #[error("`{}` needs a topic: a name, or the beginning of names followed by `*`", .0.as_str())]
    NoTopic(Verb),
    /// One that is about all there is.
    #[error("`metrics` has neither topic nor group")]
    MetricsOfNames,
    /// More parts than a permission has.
    #[error("a permission is written `VERB`, `VERB:TOPIC` or `VERB:TOPIC:GROUP`")]
    Parts,
    /// More than [`PERMISSIONS_MAX`].
    #[error("a caller has at most {PERMISSIONS_MAX} permissions")]
    TooMany,
}

/// One thing that a caller may do, on some names.
///
/// What it says of topics and what it says of groups stand for themselves: a member needs a right to its group and a
/// right to each topic it reads, from the same permission or from two.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Permission {
    verb: Verb,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Pattern>,
}

/// A permission as it is written in JSON, not yet checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    verb: Verb,
    topic: Option<Pattern>,
    group: Option<Pattern>,
}

impl TryFrom<Written> for Permission {
    type Error = PermissionError;

    fn try_from(Written { verb, topic, group }: Written) -> Result<Self, PermissionError> {
        Self::new(verb, topic, group)
    }
}

impl Permission {
    /// A permission; without a group it is about no group.
    ///
    /// # Errors
    /// [`Verb::Metrics`] has no names. [`Verb::Produce`] needs a topic, the others a topic or a group.
    pub fn new(verb: Verb, topic: Option<Pattern>, group: Option<Pattern>) -> Result<Self, PermissionError> {
        match verb {
            Verb::Metrics if topic.is_some() || group.is_some() => Err(PermissionError::MetricsOfNames),
            Verb::Produce if topic.is_none() => Err(PermissionError::NoTopic(verb)),
            Verb::Consume | Verb::Admin if topic.is_none() && group.is_none() => Err(PermissionError::NoTopic(verb)),
            _ => Ok(Self { verb, topic, group }),
        }
    }

    /// What may be done.
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// The topics it is about.
    pub fn topic(&self) -> Option<&Pattern> {
        self.topic.as_ref()
    }

    /// The groups it is about; without effect on [`Verb::Produce`], which knows no groups.
    pub fn group(&self) -> Option<&Pattern> {
        self.group.as_ref()
    }

    /// `admin` on every topic.
    fn is_root(&self) -> bool {
        self.verb == Verb::Admin && self.topic.as_ref().is_some_and(Pattern::is_all)
    }
}

/// `VERB`, `VERB:TOPIC` or `VERB:TOPIC:GROUP`; a part may be empty.
impl FromStr for Permission {
    type Err = PermissionError;

    fn from_str(text: &str) -> Result<Self, PermissionError> {
        let mut parts = text.split(':');
        let word = parts.next().unwrap_or_default();
        let verb = Verb::ALL.into_iter().find(|verb| verb.as_str() == word);
        let verb = verb.ok_or_else(|| PermissionError::Verb(word.chars().take(NAME_BYTES_MAX).collect()))?;
        let mut pattern = || parts.next().filter(|part| !part.is_empty()).map(Pattern::from_str).transpose();
        let (topic, group) = (pattern()?, pattern()?);
        if parts.next().is_some() {
            return Err(PermissionError::Parts);
        }
        Self::new(verb, topic, group)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb.as_str())?;
        match (&self.topic, &self.group) {
            (None, None) => Ok(()),
            (Some(topic), None) => write!(f, ":{topic}"),
            (None, Some(group)) => write!(f, "::{group}"),
            (Some(topic), Some(group)) => write!(f, ":{topic}:{group}"),
        }
    }
}

/// All that a caller may do. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights(Arc<[Permission]>);

impl Rights {
    /// These permissions and no others.
    ///
    /// # Errors
    /// More than [`PERMISSIONS_MAX`].
    pub fn new(permissions: Vec<Permission>) -> Result<Self, PermissionError> {
        if permissions.len() > PERMISSIONS_MAX {
            return Err(PermissionError::TooMany);
        }
        Ok(Self(permissions.into()))
    }

    /// Every right there is.
    pub fn everything() -> Self {
        let all = |verb| Permission { verb, topic: Some(Pattern::all()), group: Some(Pattern::all()) };
        Self(Arc::from([all(Verb::Admin)]))
    }

    /// To consume one topic, as far as these rights allow it.
    pub fn only_topic(&self, topic: &TopicName) -> Self {
        if !self.may_consume(topic) {
            return Self::default();
        }
        let topic = Some(Pattern::exact(topic.as_str()));
        Self(Arc::from([Permission { verb: Verb::Consume, topic, group: None }]))
    }

    /// To consume as a member of one group, as far as these rights allow it. Never more permissions than these are.
    pub fn only_group(&self, group: &GroupName) -> Self {
        if !self.may_use_group(group) {
            return Self::default();
        }
        let topics = self.0.iter().filter(|permission| permission.verb.includes(Verb::Consume));
        let mut topics = topics.filter_map(|permission| permission.topic.clone());
        let consume = |topic, group| Permission { verb: Verb::Consume, topic, group };
        // Topics and groups of one permission are asked about apart: the first one may as well be about the group.
        let first = consume(topics.next(), Some(Pattern::exact(group.as_str())));
        Self(std::iter::once(first).chain(topics.map(|topic| consume(Some(topic), None))).collect())
    }

    /// The permissions, in the order given.
    pub fn permissions(&self) -> &[Permission] {
        &self.0
    }

    /// Whether records may be written to that topic, and the topic made by it.
    pub fn may_produce(&self, topic: &TopicName) -> bool {
        self.on_topic(Verb::Produce, topic)
    }

    /// Whether there may be a topic that records may be written to.
    pub fn may_produce_somewhere(&self) -> bool {
        self.any(Verb::Produce, |permission| permission.topic.is_some())
    }

    /// Whether records of that topic may be read.
    pub fn may_consume(&self, topic: &TopicName) -> bool {
        self.on_topic(Verb::Consume, topic)
    }

    /// Whether the records of all topics may be read whose names begin so, also of those to come.
    pub fn may_consume_prefix(&self, prefix: &str) -> bool {
        self.any(Verb::Consume, |permission| {
            permission.topic.as_ref().is_some_and(|topic| topic.matches_prefix(prefix))
        })
    }

    /// Whether that topic may be made, changed and deleted.
    pub fn may_administer(&self, topic: &TopicName) -> bool {
        self.on_topic(Verb::Admin, topic)
    }

    /// Whether it may be known that that topic is there, and what its settings are.
    pub fn may_see(&self, topic: &TopicName) -> bool {
        self.may_produce(topic) || self.may_consume(topic)
    }

    /// Whether that group may be seen, and a member of it be.
    pub fn may_use_group(&self, group: &GroupName) -> bool {
        self.on_group(Verb::Consume, group)
    }

    /// Whether that group may be reset and deleted.
    pub fn may_administer_group(&self, group: &GroupName) -> bool {
        self.on_group(Verb::Admin, group)
    }

    /// Whether keys may be made, seen and deleted. Whoever may do that may do everything, by way of a key.
    pub fn may_administer_keys(&self) -> bool {
        self.0.iter().any(Permission::is_root)
    }

    /// Whether the metrics may be read, which tell of all topics.
    pub fn may_read_metrics(&self) -> bool {
        self.0.iter().any(|permission| permission.verb == Verb::Metrics || permission.is_root())
    }

    fn on_topic(&self, verb: Verb, topic: &TopicName) -> bool {
        self.any(verb, |permission| permission.topic.as_ref().is_some_and(|pattern| pattern.matches(topic.as_str())))
    }

    fn on_group(&self, verb: Verb, group: &GroupName) -> bool {
        self.any(verb, |permission| permission.group.as_ref().is_some_and(|pattern| pattern.matches(group.as_str())))
    }

    fn any(&self, verb: Verb, is_about: impl Fn(&Permission) -> bool) -> bool {
        self.0.iter().any(|permission| permission.verb.includes(verb) && is_about(permission))
    }
}

#[cfg(test)]
mod tests;
