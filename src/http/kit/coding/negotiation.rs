//! Which coding a body has, and which of them a client takes.

use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header;

use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;

/// The codings that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Coding {
    /// As it stands in headers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip), // RFC 9110 section 8.4.1.3: the same
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// That of a request's body; `None` if it is as it is.
    ///
    /// # Errors
    /// `unsupported_media_type` for one that is not known, and for several: what is packed twice is packed to do harm.
    pub(crate) fn of_request(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut given = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(first) = given.next() else { return Ok(None) };
        let name = first.to_str().unwrap_or_default().trim();
        if given.next().is_none() {
            if name.eq_ignore_ascii_case("identity") {
                return Ok(None);
            }
            if let Some(coding) = Self::parse(name) {
                return Ok(Some(coding));
            }
        }
        Err(Problem::new(Code::UnsupportedMediaType, "A body is taken as it is, or packed once with gzip or zstd.")
            .with("accepted", ["gzip", "zstd", "identity"])
            .header(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd")))
    }

    /// The one in which a client would best have its answer; `None` if as it is. On a tie zstd, which costs both less.
    pub(crate) fn for_answer(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
        let (mut gzip, mut zstd, mut identity, mut any) = (None, None, None, None);
        for item in lines.flat_map(|line| line.split(',')) {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let Some(quality) = quality(parameters) else { continue };
            let place = match name.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => &mut gzip,
                "zstd" => &mut zstd,
                "identity" => &mut identity,
                "*" => &mut any,
                _ => continue,
            };
            *place = Some(quality);
        }
        let any = any.unwrap_or(0);
        let (gzip, zstd) = (gzip.unwrap_or(any), zstd.unwrap_or(any));
        let (best, quality) = if gzip > zstd { (Self::Gzip, gzip) } else { (Self::Zstd, zstd) };
        (quality > 0 && quality >= identity.unwrap_or(0)).then_some(best)
    }
}

/// The weight of an item of `Accept-Encoding`, in thousandths; `None` if it is none.
fn quality(parameters: &str) -> Option<u16> {
    let given =
        parameters.split(';').map(str::trim).find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    let Some(text) = given else { return Some(1_000) };
    text.trim().parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q)).map(|q| (q * 1_000.0) as u16)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(name: HeaderName, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&name, line.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn one_known_coding_is_taken() {
        let of = |lines: &[&str]| Coding::of_request(&headers(header::CONTENT_ENCODING, lines));
        assert_eq!(of(&[]).expect("none"), None);
        assert_eq!(of(&["Identity"]).expect("none"), None);
        assert_eq!(of(&["gzip"]).expect("known"), Some(Coding::Gzip));
        assert_eq!(of(&["X-Gzip"]).expect("known"), Some(Coding::Gzip));
        assert_eq!(of(&[" ZSTD "]).expect("known"), Some(Coding::Zstd));
        for bad in [&["br"][..], &["gzip, gzip"], &["gzip", "gzip"], &["gzip, identity"], &["identity", "gzip"], &[""]]
        {
            assert_eq!(of(bad).expect_err("not taken").code(), Code::UnsupportedMediaType, "{bad:?}");
        }
    }

    #[test]
    fn the_client_chooses_and_zstd_wins_a_tie() {
        let (gzip, zstd) = (Some(Coding::Gzip), Some(Coding::Zstd));
        for (lines, coding) in [
            (&[][..], None),
            (&[""], None),
            (&["gzip"], gzip),
            (&["gzip, deflate, br, zstd"], zstd),
            (&["gzip", "zstd;q=0.5"], gzip),
            (&["gzip;q=0.5, zstd;q=0.5"], zstd),
            (&["gzip;q=0, zstd;q=0"], None),
            (&["br, deflate"], None),
            (&["*"], zstd),
            (&["*;q=0.1, zstd;q=0"], gzip),
            (&["identity, gzip;q=0.5"], None),
            (&["identity;q=0.5, gzip"], gzip),
            (&["gzip;q=2, zstd;q=x"], None),
            (&["GZIP ; Q=1"], gzip),
        ] {
            assert_eq!(Coding::for_answer(&headers(header::ACCEPT_ENCODING, lines)), coding, "{lines:?}");
        }
    }
}
