//! The console at `/`: its page, scripts and style are part of the program and are served as they stand in `console/`. They
//! hold no data, so they need no key; what they show they ask the API for, with the key of whoever looks.

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::Digest;
use sha2::Sha256;

use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;

/// Scripts and styles are files of our own, calls go to us alone, and nothing frames the page. No script and no style
/// stands in markup, so what is slipped into a record cannot be one.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The page itself.
const PAGE: Asset = Asset { name: "index.html", content_type: HTML, text: include_str!("console/index.html") };

/// A file of the console.
struct Asset {
    /// Its path below `/console/`.
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
}

/// The rows of a table of files in `console/`.
macro_rules! assets {
    ($($content_type:ident: $($name:literal)*;)*) => {
        &[$($(Asset { name: $name, content_type: $content_type, text: include_str!(concat!("console/", $name)) },)*)*]
    };
}

/// Everything that the page asks for.
const ASSETS: &[Asset] = assets! {
    CSS: "console.css";
    SVG: "mark.svg";
    JAVASCRIPT:
        "api.js" "app.js" "bytes.js" "dom.js" "format.js" "glossary.js" "json_text.js" "metrics.js" "plot.js" "poll.js"
        "rates.js" "router.js" "session.js" "snippets.js" "tail_buffer.js" "tail_stream.js" "theme.js" "ui.js"
        "virtual_list.js"
        "views/group.js" "views/groups.js" "views/key_dialog.js" "views/node.js" "views/partitions.js"
        "views/produce.js" "views/record.js" "views/reset.js" "views/settings.js" "views/tail.js" "views/topic.js"
        "views/topics.js";
};

/// `/` and `/console/{file}`.
pub fn routes() -> Router {
    Router::new()
        .route("/", get(async |headers: HeaderMap| PAGE.answer(&headers)))
        .route("/console/{*file}", get(asset))
}

async fn asset(Path(file): Path<String>, headers: HeaderMap) -> Response {
    match ASSETS.iter().find(|asset| asset.name == file) {
        Some(asset) => asset.answer(&headers),
        None => Problem::new(Code::UnknownPath, "The console has no such file.").into_response(),
    }
}

impl Asset {
    /// The file, or 304 if the browser has it. It asks each time, so that a new version of the program is seen at once.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let tag = self.tag();
        let has = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|given| given.to_str().ok());
        let is_known = has.flat_map(|given| given.split(',')).any(|given| given.trim() == tag);
        let fixed = [
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::ETAG, HeaderValue::try_from(tag).expect("base64 in quotation marks is a header value")),
            (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")), // for browsers that know no frame-ancestors
        ];
        if is_known {
            return (StatusCode::NOT_MODIFIED, fixed).into_response();
        }
        (fixed, [(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type))], self.text).into_response()
    }

    /// An entity tag (RFC 9110 section 8.8.3) that changes with the text.
    fn tag(&self) -> String {
        format!("\"{}\"", BASE64_STANDARD.encode(&Sha256::digest(self.text)[..12]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Files below a folder, by their paths in it.
    fn files(folder: &Path, before: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = format!("{before}{}", entry.file_name().to_str().expect("UTF-8"));
            if entry.path().is_dir() {
                found.append(&mut files(&entry.path(), &format!("{name}/")));
            } else {
                found.insert(name);
            }
        }
        found
    }

    #[test]
    fn every_file_is_served_and_every_file_that_is_asked_for_is_there() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/ops/console");
        let served: BTreeSet<String> = ASSETS.iter().chain([&PAGE]).map(|asset| asset.name.to_owned()).collect();
        assert_eq!(served, files(&folder, ""));
        for Asset { name, text, .. } in ASSETS.iter().filter(|asset| asset.name.ends_with(".js")) {
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            for part in text.split("from \"").skip(1) {
                let asked = part.split('"').next().unwrap_or_default();
                let path = match (asked.strip_prefix("../"), asked.strip_prefix("./")) {
                    (Some(rest), _) => rest.to_owned(),
                    (None, Some(rest)) if folder.is_empty() => rest.to_owned(),
                    (None, Some(rest)) => format!("{folder}/{rest}"),
                    (None, None) => panic!("{name} takes `{asked}` from outside"),
                };
                assert!(served.contains(&path), "{name} asks for {path}");
            }
        }
    }

    #[test]
    fn nothing_reads_markup_and_nothing_comes_from_outside() {
        for Asset { name, text, .. } in ASSETS.iter().chain([&PAGE]) {
            for bad in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
                assert!(!text.contains(bad), "{name} has {bad}");
            }
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://"), "{name} names a place outside");
        }
        assert!(!PAGE.text.contains("<style") && !PAGE.text.contains(" style=") && !PAGE.text.contains(" onclick="));
    }
}
