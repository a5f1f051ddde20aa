//! The labels and their values: closed lists all, so that no caller can make the number of series grow.

use crate::telemetry::metrics::tables::Label;

macro_rules! labels {
    ($($(#[$meta:meta])* pub enum $label:ident = $name:literal { $($(#[$about:meta])* $value:ident = $text:literal,)+ })+) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum $label {
                $($(#[$about])* $value,)+
            }

            impl Label for $label {
                const NAME: &'static str = $name;
                const TEXTS: &'static [&'static str] = &[$($text),+];

                fn index(self) -> usize {
                    self as usize
                }
            }
        )+
    };
}

labels! {
    /// The method of a request.
    pub enum Method = "method" {
        /// GET
        Get = "GET",
        /// HEAD
        Head = "HEAD",
        /// POST
        Post = "POST",
        /// PUT
        Put = "PUT",
        /// PATCH
        Patch = "PATCH",
        /// DELETE
        Delete = "DELETE",
        /// OPTIONS
        Options = "OPTIONS",
        /// Any other.
        Other = "other",
    }

    /// The first digit of a status.
    pub enum StatusClass = "status" {
        /// Interim.
        Informational = "1xx",
        /// Done.
        Success = "2xx",
        /// Elsewhere, or not modified.
        Redirection = "3xx",
        /// The request was refused.
        ClientError = "4xx",
        /// The server failed, or is too busy.
        ServerError = "5xx",
    }

    /// Where a read found its records.
    pub enum Source = "source" {
        /// The newest records, in memory.
        Tail = "tail",
        /// A segment file.
        Cache = "cache",
        /// The table.
        Table = "table",
    }

    /// What an endless answer is.
    pub enum StreamKind = "kind" {
        /// Server-sent events.
        Sse = "sse",
        /// Lines of NDJSON, or of bare values.
        Ndjson = "ndjson",
        /// A member of a consumer group.
        Member = "member",
        /// NDJSON that is produced, and its receipts.
        Produce = "produce",
    }

    /// What a connection to the database is at.
    pub enum Use = "state" {
        /// Somebody works with it.
        Busy = "busy",
        /// It waits to be used.
        Idle = "idle",
    }

    /// What became of a span.
    pub enum SpanFate = "fate" {
        /// The collector has it.
        Sent = "sent",
        /// The collector did not take it.
        Failed = "failed",
        /// There was no room in the queue.
        Dropped = "dropped",
    }

    /// What one node tells the others of.
    pub enum About = "about" {
        /// Records were appended.
        Records = "records",
        /// A topic changed.
        Topic = "topic",
        /// A group changed.
        Group = "group",
    }
}

/// The path of a request, as a template: what stands in braces is left open. Those that are asked for most come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route(usize);

impl Label for Route {
    const NAME: &'static str = "route";
    const TEXTS: &'static [&'static str] = &[
        "/v1/topics/{topic}/records",
        "/v1/topics/{topic}/values",
        "/v1/groups/{group}/members/{member}/poll",
        "/v1/groups/{group}/members/{member}/heartbeat",
        "/v1/groups/{group}/members/{member}/offsets",
        "/v1/groups/{group}/members/{member}/records",
        "/v1/records",
        "/v1/topics/{topic}/partitions/{partition}/records",
        "/v1/topics/{topic}/partitions/{partition}/records/{offset}",
        "/v1/topics/{topic}/partitions/{partition}/records/{offset}/value",
        "/v1/topics/{topic}/partitions/{partition}/offsets",
        "/v1/topics/{topic}/partitions/{partition}",
        "/v1/topics/{topic}",
        "/v1/topics",
        "/v1/groups/{group}/members/{member}",
        "/v1/groups/{group}/members",
        "/v1/groups/{group}/records",
        "/v1/groups/{group}/offsets",
        "/v1/groups/{group}",
        "/v1/groups",
        "/v1/keys/{id}",
        "/v1/keys",
        "/v1/tickets",
        "/v1/whoami",
        "/v1",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/problems/{code}",
        "/problems",
        "/",
        "other",
    ];

    fn index(self) -> usize {
        self.0
    }
}

impl Route {
    /// The route of a path, without a slash at its end; `other` if there is none.
    pub fn of(path: &str) -> Self {
        let last = Self::TEXTS.len() - 1;
        Self(Self::TEXTS[..last].iter().position(|template| fits(path, template)).unwrap_or(last))
    }
}

fn fits(path: &str, template: &str) -> bool {
    let (mut path, mut template) = (path.split('/'), template.split('/'));
    loop {
        match (path.next(), template.next()) {
            (None, None) => return true,
            (Some(part), Some(asked)) if part == asked || (asked.starts_with('{') && !part.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_template() {
        for (path, template) in [
            ("/v1/topics/clicks/records", "/v1/topics/{topic}/records"),
            ("/v1/topics/clicks/partitions/0/records/17/value", Route::TEXTS[9]),
            ("/v1/groups/g/members/m/poll", "/v1/groups/{group}/members/{member}/poll"),
            ("/v1", "/v1"),
            ("/", "/"),
            ("/v1/topics//records", "other"),
            ("/v1/topics/clicks/secrets", "other"),
            ("*", "other"),
            ("", "other"),
        ] {
            assert_eq!(Route::of(path).text(), template, "{path}");
        }
    }
}
