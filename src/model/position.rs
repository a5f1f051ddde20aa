//! A position: where in time or order a reader wants to begin.

use std::str::FromStr;

use crate::model::time::Millis;

/// The smallest number of milliseconds taken for a time (3 March 1973). Anything smaller is seconds or an offset by
/// mistake.
pub const TIME_MS_MIN: u64 = 100_000_000_000;

/// Where to begin: `earliest`, `latest`, `-N`, an RFC 3339 time, or integer milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The first record still kept.
    Earliest,
    /// The high watermark: only what comes.
    Latest,
    /// This many records before the end of each partition.
    Last(u64),
    /// The lowest offset whose timestamp is not before this; the high watermark if there is none.
    Time(Millis),
}

/// Why a text is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PositionError {
    /// A number that is too small to be milliseconds.
    #[error(
        "a number here is milliseconds since 1970 and at least {TIME_MS_MIN}; \
         this one is seconds or an offset: multiply by 1000, or use `offset`"
    )]
    TooSmall,
    /// Something else.
    #[error("a position is `earliest`, `latest`, `-N`, an RFC 3339 time or integer milliseconds")]
    Malformed,
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        match text {
            "earliest" => return Ok(Self::Earliest),
            "latest" => return Ok(Self::Latest),
            _ => {}
        }
        if let Some(digits) = text.strip_prefix('-') {
            return number(digits).map(Self::Last);
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let ms = number(text)?;
            return if ms < TIME_MS_MIN { Err(PositionError::TooSmall) } else { Ok(Self::Time(ms)) };
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| PositionError::Malformed)?;
        // Before 1970 every record qualifies. A part of a millisecond rounds up: "not before" must hold.
        let nanos = time.as_nanosecond().max(0);
        let ms = u64::try_from((nanos + 999_999) / 1_000_000).map_err(|_| PositionError::Malformed)?;
        Ok(Self::Time(ms))
    }
}

/// A plain decimal below 2^53, without sign or leading zeros.
fn number(digits: &str) -> Result<u64, PositionError> {
    let plain = !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0'));
    let value: u64 = digits.parse().map_err(|_| PositionError::Malformed)?;
    if plain && value < 1 << 53 { Ok(value) } else { Err(PositionError::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_what_the_contract_says() {
        let parse = |text: &str| text.parse::<Position>();
        assert_eq!(parse("earliest"), Ok(Position::Earliest));
        assert_eq!(parse("latest"), Ok(Position::Latest));
        assert_eq!(parse("-10"), Ok(Position::Last(10)));
        assert_eq!(parse("-0"), Ok(Position::Last(0)));
        assert_eq!(parse("1732233600000"), Ok(Position::Time(1_732_233_600_000)));
        assert_eq!(parse("2024-11-22T00:00:00Z"), Ok(Position::Time(1_732_233_600_000)));
        assert_eq!(parse("2024-11-22T01:00:00+01:00"), Ok(Position::Time(1_732_233_600_000)));
        assert_eq!(parse("2024-11-22T00:00:00.0001Z"), Ok(Position::Time(1_732_233_600_001)));
        assert_eq!(parse("1732233600"), Err(PositionError::TooSmall));
        for bad in ["", "-", "--1", "now", "1.5", "+1", "-9007199254740992", "99999999999999999999", "1e12"] {
            assert_eq!(parse(bad), Err(PositionError::Malformed), "{bad}");
        }
    }
}
