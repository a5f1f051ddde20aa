//! Which right every call needs, and how large a body it takes: all calls there are, in one table. What is not in it is not let through below `/v1`, and
//! a test holds the table against the OpenAPI document; so no call can be added without saying who may use it.

use axum::http::Method;
use percent_encoding::percent_decode_str;

use crate::access::caller::Caller;
use crate::access::scope::Scope;
use crate::http::kit::caller::no_right;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::model::limits::GROUP_BYTES_MAX;
use crate::model::limits::Limits;
use crate::model::limits::SETTINGS_BYTES_MAX;
use crate::model::name::GroupName;
use crate::model::name::TopicName;
use crate::telemetry::metrics::labels::Route;
use crate::telemetry::metrics::tables::Label;

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: it holds no data.
    Nothing,
    /// That the caller is known. The answer holds what they may see, or the handler asks about the names in query and body.
    Caller,
    /// `produce` on any topic at all; the handler asks about the names in the body.
    ProduceSomewhere,
    /// `produce` on the topic in the path.
    Produce,
    /// `consume` on it.
    Consume,
    /// One of the two.
    See,
    /// `admin` on it.
    Administer,
    /// `consume` on the group in the path.
    UseGroup,
    /// `admin` on it.
    AdministerGroup,
    /// `admin` on all topics.
    Keys,
    /// `metrics`, or `admin` on all topics.
    Metrics,
}

/// What a ticket may be shown to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Records of topics.
    Topics,
    /// Records for the members of a group.
    Group,
}

/// How large a body may be, by what is in it. Whoever may call may have as much read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// A setting or a question, or nothing.
    Settings,
    /// Names of topics, or offsets in their partitions.
    Offsets,
    /// Records.
    Records,
}

impl Takes {
    /// So many bytes at most; never more than any request.
    pub(crate) fn bytes_max(self, limits: &Limits) -> usize {
        let bound = match self {
            Self::Settings => SETTINGS_BYTES_MAX,
            Self::Offsets => GROUP_BYTES_MAX,
            Self::Records => limits.request_bytes,
        };
        bound.min(limits.request_bytes)
    }
}

/// A call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// As in the OpenAPI document.
    pub(crate) path: &'static str,
    pub(crate) need: Need,
    /// Whether a ticket is taken, and of which kind.
    pub(crate) stream: Option<Stream>,
    /// What its body may be.
    pub(crate) takes: Takes,
}

const fn call(method: Method, path: &'static str, need: Need) -> Call {
    Call { method, path, need, stream: None, takes: Takes::Settings }
}

const fn write(path: &'static str, need: Need) -> Call {
    Call { method: Method::POST, path, need, stream: None, takes: Takes::Records }
}

const fn offsets(method: Method, path: &'static str, need: Need) -> Call {
    Call { method, path, need, stream: None, takes: Takes::Offsets }
}

const fn stream(path: &'static str, need: Need, stream: Stream) -> Call {
    Call { method: Method::GET, path, need, stream: Some(stream), takes: Takes::Settings }
}

/// Every call. HEAD is as GET.
pub(crate) const CALLS: &[Call] = &[
    call(Method::GET, "/healthz", Need::Nothing),
    call(Method::GET, "/readyz", Need::Nothing),
    call(Method::GET, "/metrics", Need::Metrics),
    call(Method::GET, "/v1", Need::Nothing),
    call(Method::GET, "/v1/whoami", Need::Caller),
    call(Method::GET, "/v1/keys", Need::Keys),
    call(Method::POST, "/v1/keys", Need::Keys),
    call(Method::GET, "/v1/keys/{id}", Need::Keys),
    call(Method::DELETE, "/v1/keys/{id}", Need::Keys),
    call(Method::POST, "/v1/tickets", Need::Caller),
    call(Method::GET, "/v1/topics", Need::Caller),
    call(Method::PUT, "/v1/topics/{topic}", Need::Administer),
    call(Method::GET, "/v1/topics/{topic}", Need::See),
    call(Method::PATCH, "/v1/topics/{topic}", Need::Administer),
    call(Method::DELETE, "/v1/topics/{topic}", Need::Administer),
    call(Method::GET, "/v1/topics/{topic}/partitions/{partition}", Need::See),
    call(Method::GET, "/v1/topics/{topic}/partitions/{partition}/offsets", Need::See),
    call(Method::DELETE, "/v1/topics/{topic}/partitions/{partition}/records", Need::Administer),
    write("/v1/topics/{topic}/values", Need::Produce),
    write("/v1/topics/{topic}/records", Need::Produce),
    write("/v1/records", Need::ProduceSomewhere),
    stream("/v1/records", Need::Caller, Stream::Topics),
    stream("/v1/topics/{topic}/records", Need::Consume, Stream::Topics),
    stream("/v1/topics/{topic}/partitions/{partition}/records", Need::Consume, Stream::Topics),
    call(Method::GET, "/v1/topics/{topic}/partitions/{partition}/records/{offset}", Need::Consume),
    call(Method::GET, "/v1/topics/{topic}/partitions/{partition}/records/{offset}/value", Need::Consume),
    call(Method::GET, "/v1/groups", Need::Caller),
    call(Method::GET, "/v1/groups/{group}", Need::UseGroup),
    call(Method::DELETE, "/v1/groups/{group}", Need::AdministerGroup),
    call(Method::GET, "/v1/groups/{group}/offsets", Need::UseGroup),
    offsets(Method::PUT, "/v1/groups/{group}/offsets", Need::AdministerGroup),
    stream("/v1/groups/{group}/records", Need::UseGroup, Stream::Group),
    offsets(Method::POST, "/v1/groups/{group}/members", Need::UseGroup),
    call(Method::DELETE, "/v1/groups/{group}/members/{member}", Need::UseGroup),
    offsets(Method::POST, "/v1/groups/{group}/members/{member}/poll", Need::UseGroup),
    offsets(Method::POST, "/v1/groups/{group}/members/{member}/offsets", Need::UseGroup),
    call(Method::POST, "/v1/groups/{group}/members/{member}/heartbeat", Need::UseGroup),
    stream("/v1/groups/{group}/members/{member}/records", Need::UseGroup, Stream::Group),
];

/// The call that a request is for; `None` if there is none.
pub(crate) fn find(method: &Method, route: Route) -> Option<&'static Call> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    CALLS.iter().find(|call| call.path == route.text() && call.method == *method)
}

/// The methods that a path has; none if it is no path of a call.
pub(crate) fn methods(route: Route) -> String {
    let calls = CALLS.iter().filter(|call| call.path == route.text());
    let names = calls.map(|call| if call.method == Method::GET { "GET, HEAD" } else { call.method.as_str() });
    names.collect::<Vec<_>>().join(", ")
}

impl Call {
    /// Lets a caller pass who has the right that the call needs on the name in its path. A name that cannot be one names
    /// nothing: the handler says so.
    ///
    /// # Errors
    /// `forbidden`.
    pub(crate) fn admit(&self, caller: &Caller, path: &str) -> Result<(), Problem> {
        if let Some(scope) = &caller.ticket {
            let of = match scope {
                Scope::Topic(_) => Stream::Topics,
                Scope::Group(_) => Stream::Group,
            };
            if self.stream != Some(of) {
                let detail = "The ticket is for reading the records of its topic, or the streams of its group. For this call \
                              send a key.";
                return Err(Problem::new(Code::Forbidden, detail));
            }
        }
        let rights = &caller.rights;
        match self.need {
            Need::Nothing | Need::Caller => Ok(()),
            Need::ProduceSomewhere if rights.may_produce_somewhere() => Ok(()),
            Need::ProduceSomewhere => {
                Err(Problem::new(Code::Forbidden, "These credentials do not permit to write to any topic."))
            }
            Need::Produce => self.topic(path, "write to", |topic| rights.may_produce(topic)),
            Need::Consume => self.topic(path, "read", |topic| rights.may_consume(topic)),
            Need::See => self.topic(path, "see", |topic| rights.may_see(topic)),
            Need::Administer => self.topic(path, "administer", |topic| rights.may_administer(topic)),
            Need::UseGroup => self.group(path, "use", |group| rights.may_use_group(group)),
            Need::AdministerGroup => self.group(path, "administer", |group| rights.may_administer_group(group)),
            Need::Keys if rights.may_administer_keys() => Ok(()),
            Need::Keys => Err(Problem::new(Code::Forbidden, "Keys are for those who have `admin` on the topics `*`.")),
            Need::Metrics if rights.may_read_metrics() => Ok(()),
            Need::Metrics => {
                let detail = "Metrics are for those who have `metrics`, or `admin` on the topics `*`.";
                Err(Problem::new(Code::Forbidden, detail))
            }
        }
    }

    fn topic(&self, path: &str, to: &str, may: impl Fn(&TopicName) -> bool) -> Result<(), Problem> {
        match self.name(path, "{topic}").and_then(|name| name.parse().ok()) {
            Some(topic) if !may(&topic) => Err(no_right(to, "topic", topic.as_str())),
            _ => Ok(()),
        }
    }

    fn group(&self, path: &str, to: &str, may: impl Fn(&GroupName) -> bool) -> Result<(), Problem> {
        match self.name(path, "{group}").and_then(|name| name.parse().ok()) {
            Some(group) if !may(&group) => Err(no_right(to, "group", group.as_str())),
            _ => Ok(()),
        }
    }

    /// What stands in the path where the template has `segment`, decoded as the handlers get it.
    fn name(&self, path: &str, segment: &str) -> Option<String> {
        let mut pairs = self.path.split('/').zip(path.split('/'));
        let (_, raw) = pairs.find(|(wanted, _)| *wanted == segment)?;
        Some(percent_decode_str(raw).decode_utf8().ok()?.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::document;
    use crate::model::permission::Rights;

    #[test]
    fn every_call_of_the_document_says_who_may_use_it() {
        let document = serde_json::to_value(document()).expect("JSON");
        let mut published = BTreeSet::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for method in item.as_object().expect("methods").keys().filter(|key| !key.starts_with("x-")) {
                published.insert(format!("{method} {path}"));
            }
        }
        let name = |call: &Call| format!("{} {}", call.method.as_str().to_lowercase(), call.path);
        let known: BTreeSet<String> = CALLS.iter().map(name).collect();
        assert_eq!(known.len(), CALLS.len(), "a call stands there twice");
        let forgotten: Vec<_> = published.difference(&known).collect();
        assert!(forgotten.is_empty(), "{forgotten:?} say nothing");
        let gone: Vec<_> = known.difference(&published).collect();
        assert!(gone.is_empty(), "{gone:?} are no calls");
    }

    #[test]
    fn a_path_is_found_as_the_router_does() {
        let found = |path| find(&Method::GET, Route::of(path)).map(|call| call.path);
        assert_eq!(found("/v1/topics/a/records"), Some("/v1/topics/{topic}/records"));
        assert_eq!(found("/v1/topics/%2E%2e/records"), Some("/v1/topics/{topic}/records"));
        for none in ["/v1/topics//records", "/v1/topics/a/records/", "/v1/%74opics/a", "/V1/topics", "/v1/nothing", ""]
        {
            assert_eq!(found(none), None, "{none}");
        }
        assert_eq!(methods(Route::of("/v1/topics/a/records")), "POST, GET, HEAD");
        assert_eq!(methods(Route::of("/v1/nothing")), "");
    }

    #[test]
    fn the_name_in_the_path_decides() {
        let rights = |text: &str| Rights::new(vec![text.parse().expect("good")]).expect("one");
        let admit = |method: Method, path: &str, text: &str| {
            let caller = Caller { rights: rights(text), ..Caller::nobody() };
            find(&method, Route::of(path)).expect("a call").admit(&caller, path).is_ok()
        };
        assert!(admit(Method::GET, "/v1/topics/pub-a/records", "consume:pub-*"));
        assert!(admit(Method::HEAD, "/v1/topics/%70ub-a/records", "consume:pub-*"));
        assert!(!admit(Method::GET, "/v1/topics/%73ec/records", "consume:pub-*"));
        assert!(!admit(Method::POST, "/v1/topics/pub-a/records", "consume:pub-*"));
        assert!(admit(Method::GET, "/v1/topics/pub-a", "produce:pub-*"));
        assert!(!admit(Method::DELETE, "/v1/topics/pub-a", "produce:pub-*"));
        assert!(!admit(Method::GET, "/v1/groups/g", "admin:*"));
        assert!(admit(Method::DELETE, "/v1/groups/g", "admin:*:g"));
        assert!(!admit(Method::DELETE, "/v1/groups/g", "consume:*:g"));
        assert!(!admit(Method::POST, "/v1/keys", "admin:a*") && admit(Method::POST, "/v1/keys", "admin:*"));
        assert!(admit(Method::POST, "/v1/records", "admin:a") && !admit(Method::POST, "/v1/records", "admin::g"));
        assert!(!admit(Method::POST, "/v1/records", "consume:*"));
        assert!(!admit(Method::GET, "/metrics", "consume:*") && admit(Method::GET, "/metrics", "metrics"));
    }

    #[test]
    fn a_ticket_reads_records_of_its_kind_alone() {
        let group: GroupName = "g".parse().expect("a name");
        let all = Caller::anonymous();
        let rights = all.rights.only_group(&group);
        let caller = Caller { rights, ticket: Some(Scope::Group(group)), ..all };
        let admit =
            |method: Method, path: &str| find(&method, Route::of(path)).expect("a call").admit(&caller, path).is_ok();
        assert!(admit(Method::GET, "/v1/groups/g/records") && admit(Method::GET, "/v1/groups/g/members/m/records"));
        assert!(!admit(Method::GET, "/v1/groups/h/records") && !admit(Method::GET, "/v1/topics/a/records"));
        assert!(!admit(Method::POST, "/v1/groups/g/members/m/poll") && !admit(Method::GET, "/v1/whoami"));
    }
}
