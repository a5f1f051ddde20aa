//! What somebody who looked into something found, for whoever asked.

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, with something to see to.
    Warn,
    /// It does not work, or what is promised does not hold.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at, in a word or two.
    pub subject: String,
    /// What was found, and what to do about it unless it is as it should be.
    pub text: String,
}

impl Finding {
    /// As it should be.
    pub fn ok(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { level: Level::Ok, subject: subject.into(), text: text.into() }
    }

    /// Something to see to.
    pub fn warn(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { level: Level::Warn, subject: subject.into(), text: text.into() }
    }

    /// Something that does not work.
    pub fn fail(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { level: Level::Fail, subject: subject.into(), text: text.into() }
    }
}
