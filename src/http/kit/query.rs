//! Strict reading of a query: what is not known is refused by name, what is known is there at most once, and a value out
//! of range is told its bounds.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use percent_encoding::percent_decode_str;
use utoipa::openapi::schema::Object;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::schema::Type;

use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;

/// The parameters that may stand more than once.
const REPEATABLE: &[&str] = &["topic", "partition"];

/// The parameters of a request.
#[derive(Debug)]
pub struct Query<'a> {
    pairs: Vec<Pair<'a>>,
}

#[derive(Debug)]
struct Pair<'a> {
    name: &'static str,
    /// As it stands in the URI.
    raw: &'a str,
    /// Decoded as a form: `%XX`, and `+` is a blank.
    value: Cow<'a, str>,
}

impl<'a> Query<'a> {
    /// Reads the query of a URI against the parameters that the call knows.
    ///
    /// # Errors
    /// `unknown_parameter`; `invalid_parameter` for one that is repeated or is no UTF-8.
    pub fn parse(query: Option<&'a str>, known: &[&'static str]) -> Result<Self, Problem> {
        let mut pairs: Vec<Pair<'a>> = Vec::new();
        for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            let (given, raw) = part.split_once('=').unwrap_or((part, ""));
            let given = form_decoded(given).ok_or_else(|| not_utf8("a name"))?;
            let Some(name) = known.iter().copied().find(|name| *name == given) else {
                return Err(unknown(&given, known));
            };
            if !REPEATABLE.contains(&name) && pairs.iter().any(|pair| pair.name == name) {
                return Err(invalid(name, format!("`{name}` is given more than once.")));
            }
            let value = form_decoded(raw).ok_or_else(|| not_utf8(name))?;
            pairs.push(Pair { name, raw, value });
        }
        Ok(Self { pairs })
    }

    fn pair(&self, name: &str) -> Option<&Pair<'a>> {
        self.pairs.iter().find(|pair| pair.name == name)
    }

    /// Whether the parameter is given at all.
    pub fn has(&self, name: &str) -> bool {
        self.pair(name).is_some()
    }

    /// The value, decoded as a form: `+` is a blank.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pair(name).map(|pair| pair.value.as_ref())
    }

    /// The value with `+` as itself, for what never holds a blank but may hold a plus that was not escaped: positions
    /// (`2024-01-01T00:00:00+02:00`), base64, numbers.
    pub fn literal(&self, name: &str) -> Option<Cow<'a, str>> {
        // It decodes: the form reading of the same bytes was checked when the query was parsed.
        self.pair(name).map(|pair| percent_decode_str(pair.raw).decode_utf8_lossy())
    }

    /// All values of a repeatable parameter, in the order given.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        self.pairs.iter().filter(move |pair| pair.name == name).map(|pair| pair.value.as_ref())
    }

    /// A whole number within its bounds.
    ///
    /// # Errors
    /// `invalid_parameter` with `minimum` and `maximum`.
    pub fn number(&self, name: &'static str, bounds: RangeInclusive<u64>) -> Result<Option<u64>, Problem> {
        self.literal(name).map(|text| whole_number(name, &text, bounds)).transpose()
    }

    /// A whole number that is lowered to `maximum` if it is beyond it.
    ///
    /// # Errors
    /// `invalid_parameter` if it is no whole number or below `minimum`.
    pub fn at_most(&self, name: &'static str, minimum: u64, maximum: u64) -> Result<Option<u64>, Problem> {
        self.literal(name).map(|text| lowered(name, &text, minimum, maximum)).transpose()
    }

    /// `true` or `false`; without the parameter false.
    ///
    /// # Errors
    /// `invalid_parameter` for anything else.
    pub fn flag(&self, name: &'static str) -> Result<bool, Problem> {
        Ok(self.choice(name, &[("true", true), ("false", false)])?.unwrap_or(false))
    }

    /// One of the words listed.
    ///
    /// # Errors
    /// `invalid_parameter` for anything else, with the words.
    pub fn choice<T: Copy>(&self, name: &'static str, words: &[(&'static str, T)]) -> Result<Option<T>, Problem> {
        let Some(given) = self.get(name) else { return Ok(None) };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == given) {
            return Ok(Some(*value));
        }
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        Err(invalid(name, format!("`{name}` is one of {}.", words.join(", "))).with("allowed", words))
    }

    /// Refuses parameters that belong to another mode.
    ///
    /// # Errors
    /// `invalid_parameter`: the one that is given, and `why` it cannot be.
    pub fn refuse(&self, names: &[&'static str], why: &str) -> Result<(), Problem> {
        match names.iter().find(|name| self.has(name)) {
            Some(name) => Err(invalid(name, format!("`{name}` has no meaning here: {why}."))),
            None => Ok(()),
        }
    }
}

/// A whole number as every request writes it: digits, no sign, no leading zero, within bounds.
///
/// # Errors
/// `invalid_parameter` with `minimum` and `maximum`.
pub fn whole_number(name: &'static str, text: &str, bounds: RangeInclusive<u64>) -> Result<u64, Problem> {
    let canonical =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    match text.parse::<u64>() {
        Ok(number) if canonical && bounds.contains(&number) => Ok(number),
        _ => Err(out_of_bounds(name, &bounds)),
    }
}

/// A whole number that is lowered to `maximum` if it is beyond it.
///
/// # Errors
/// `invalid_parameter` if it is no whole number or below `minimum`.
pub fn lowered(name: &'static str, text: &str, minimum: u64, maximum: u64) -> Result<u64, Problem> {
    let digits_only = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits_only && text.len() > 1 && !text.starts_with('0') && text.parse::<u64>().is_err() {
        return Ok(maximum); // so many digits are more than any bound
    }
    let asked = whole_number(name, text, minimum..=u64::MAX).map_err(|_| out_of_bounds(name, &(minimum..=maximum)))?;
    Ok(asked.min(maximum))
}

/// What the OpenAPI document says of such a number in a body: of no width, since one that is too large for any is
/// lowered as well.
pub fn lowered_schema<const MINIMUM: u32, const DEFAULT: u32>() -> Object {
    let integer = ObjectBuilder::new().schema_type(Type::Integer);
    integer.minimum(Some(MINIMUM)).default(Some(DEFAULT.into())).build()
}

/// The first value of a parameter, for those who look before the query as a whole is read; decoded like there, or a
/// letter that is escaped would pass unseen.
pub fn peek<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    let decoded = |text: &'a str| percent_decode_str(text).decode_utf8_lossy();
    let pairs = query.unwrap_or_default().split('&').map(|part| part.split_once('=').unwrap_or((part, "")));
    pairs.filter(|(given, _)| decoded(given) == name).map(|(_, value)| decoded(value)).next()
}

/// A refusal of a parameter's value, naming it.
pub fn invalid(name: &'static str, detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(Code::InvalidParameter, detail).with("parameter", name)
}

/// A refusal for want of a parameter, naming it.
pub fn missing(name: &'static str) -> Problem {
    Problem::new(Code::MissingParameter, format!("`{name}` is needed.")).with("parameter", name)
}

fn out_of_bounds(name: &'static str, bounds: &RangeInclusive<u64>) -> Problem {
    let problem = if *bounds.end() == u64::MAX {
        invalid(name, format!("`{name}` is a whole number of at least {}.", bounds.start()))
    } else {
        invalid(name, format!("`{name}` is a whole number from {} to {}.", bounds.start(), bounds.end()))
            .with("maximum", bounds.end())
    };
    problem.with("minimum", bounds.start())
}

fn unknown(given: &str, known: &[&'static str]) -> Problem {
    let detail = match known {
        [] => format!("There is no parameter `{given}`; this call has none."),
        _ => format!("There is no parameter `{given}`; there are {}.", known.join(", ")),
    };
    Problem::new(Code::UnknownParameter, detail).with("parameter", given).with("known", known)
}

fn not_utf8(what: &'static str) -> Problem {
    invalid(what, format!("The query is not UTF-8: {what}."))
}

fn form_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|b| matches!(b, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let blanks = text.replace('+', " ");
    percent_decode_str(&blanks).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["from", "key", "limit", "topic", "lag"];

    fn parse(query: &str) -> Result<Query<'_>, Problem> {
        Query::parse(Some(query), KNOWN)
    }

    fn refusal<T>(outcome: Result<T, Problem>) -> (Code, String) {
        let problem = outcome.err().expect("a refusal");
        (problem.code(), problem.to_json(""))
    }

    #[test]
    fn values_are_decoded() {
        let query = parse("key=a+b%2Bc%C3%A4&from=2024-01-01T00:00:00+02:00&topic=x&topic=y&&lag").expect("good");
        assert_eq!(query.get("key"), Some("a b+cä"));
        assert_eq!(query.literal("from").as_deref(), Some("2024-01-01T00:00:00+02:00"));
        assert_eq!(query.all("topic").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(query.get("lag"), Some(""));
        assert!(!query.has("limit"));
    }

    #[test]
    fn what_is_not_known_is_named() {
        let (code, json) = refusal(parse("form=latest"));
        assert_eq!(code, Code::UnknownParameter);
        assert!(json.contains(r#""parameter":"form","known":["from","key","limit","topic","lag"]"#), "{json}");
        assert_eq!(refusal(parse("key=a;limit=1&limit=2&limit=3")).0, Code::InvalidParameter);
        assert_eq!(refusal(parse("key=%ff")).0, Code::InvalidParameter);
        assert_eq!(refusal(parse("%ff=1")).0, Code::InvalidParameter);
    }

    #[test]
    fn numbers_are_strict() {
        for good in ["0", "7", "10"] {
            let number = parse(&format!("limit={good}")).expect("known").number("limit", 0..=10).expect("good");
            assert_eq!(number, good.parse().ok());
        }
        for bad in ["", "-1", "+1", "01", "1.0", "1e1", "11", "NaN", "18446744073709551616", "%201", "1 "] {
            let (code, json) = refusal(parse(&format!("limit={bad}")).expect("known").number("limit", 0..=10));
            assert_eq!(code, Code::InvalidParameter, "{bad}");
            assert!(json.contains(r#""maximum":10"#) && json.contains(r#""minimum":0"#), "{json}");
        }
    }

    #[test]
    fn upper_bounds_lower() {
        let asked =
            |text: &str| parse(&format!("limit={text}")).expect("known").at_most("limit", 1, 100).ok().flatten();
        assert_eq!(asked("7"), Some(7));
        assert_eq!(asked("101"), Some(100));
        assert_eq!(asked("99999999999999999999999"), Some(100));
        for bad in ["0", "-1", "", "007", "1s"] {
            assert_eq!(asked(bad), None, "{bad}");
        }
    }

    #[test]
    fn flags_are_words() {
        assert!(parse("lag=true").expect("known").flag("lag").expect("a word"));
        assert!(!parse("").expect("known").flag("lag").expect("a default"));
        for bad in ["lag", "lag=1", "lag=TRUE"] {
            assert_eq!(refusal(parse(bad).expect("known").flag("lag")).0, Code::InvalidParameter);
        }
    }
}
