//! What each caller may do, held against what it asks for: at the door of the server for connections, in the front for
//! requests, bytes and streams.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::Method;
use axum::http::Request;
use axum::http::Uri;
use axum::response::Response;
use bytes::Bytes;
use http_body::Body as HttpBody;
use http_body::Frame;
use http_body::SizeHint;
use tokio::time::Sleep;
use tokio::time::sleep;

use crate::access::caller::Caller;
use crate::http::kit::context::Link;
use crate::http::kit::media::names_event_stream;
use crate::http::kit::payers::Payers;
use crate::http::kit::payers::rate_limited;
use crate::http::kit::problem::Problem;
use crate::http::kit::query::peek;
use crate::http::proxies::Network;
use crate::http::proxies::Proxies;
use crate::model::key::KeyLimits;
use crate::quota::Allowance;
use crate::quota::Cost;
use crate::quota::Held;
use crate::quota::Payer;
use crate::quota::Quotas;
use crate::quota::Who;

/// What callers may do.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What each address may.
    pub of_address: Allowance,
    /// Proxies that are believed about whom they speak for.
    pub trusted_proxies: Vec<Network>,
}

/// The callers of this node.
pub(crate) struct Limiter {
    quotas: Quotas,
    of_address: Allowance,
    proxies: Proxies,
}

impl Limiter {
    /// Nobody has used anything yet.
    pub(crate) fn new(options: Options) -> Self {
        let Options { of_address, trusted_proxies } = options;
        Self { quotas: Quotas::default(), of_address, proxies: Proxies::new(trusted_proxies) }
    }

    /// Lets a connection in, for as long as the value lives. A proxy of ours brings many callers, and is not counted.
    /// `None` if this address has as many as it may.
    pub(crate) fn connection(&self, remote: IpAddr) -> Option<Option<Held>> {
        if self.of_address.connections.is_none() || self.proxies.hold(remote) {
            return Some(None);
        }
        self.quotas.payer(Who::address(remote), self.of_address).connection().ok()
    }

    /// How a request really came.
    pub(crate) fn see_through(&self, link: Link, headers: &HeaderMap) -> Link {
        self.proxies.see_through(link, headers)
    }

    /// Has the address of a request pay for it.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(crate) fn charge_address<B: HttpBody>(
        &self,
        entry: &mut Entry,
        request: &Request<B>,
        link: Link,
    ) -> Result<(), Problem> {
        if self.of_address.is_unbounded() {
            return Ok(());
        }
        entry.charge(self.quotas.payer(Who::address(link.remote), self.of_address), request)
    }

    /// Has the caller pay for it, if their key is bounded. A ticket counts as the key that it was asked for with.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(crate) fn charge_caller<B: HttpBody>(
        &self,
        entry: &mut Entry,
        request: &Request<B>,
        caller: &Caller,
    ) -> Result<(), Problem> {
        let allowance = allowance(&caller.limits);
        if allowance.is_unbounded() {
            return Ok(());
        }
        let who = Who::Identity(caller.identity.to_string().into());
        entry.charge(self.quotas.payer(who, allowance), request)
    }
}

fn allowance(limits: &KeyLimits) -> Allowance {
    let bound = |limit: Option<u64>| limit.and_then(NonZeroU64::new);
    Allowance {
        requests_per_s: bound(limits.requests_per_second),
        records_per_s: bound(limits.records_per_second),
        bytes_per_s: bound(limits.bytes_per_second),
        streams: bound(limits.streams),
        connections: None,
    }
}

/// A request that was let in, and what is held for it.
#[derive(Default)]
pub(crate) struct Entry {
    /// Who pays for the rest.
    pub(crate) payers: Payers,
    streams: Vec<Held>,
}

impl Entry {
    /// Has one more pay for the request: itself, its body if its length is known, the stream if it asks for one.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(crate) fn charge<B: HttpBody>(&mut self, payer: Payer, request: &Request<B>) -> Result<(), Problem> {
        // What has no known length is paid for as it comes, but not begun by who is in debt.
        let bytes = request.body().size_hint().exact().unwrap_or(1);
        let refused = |refused| passing(rate_limited(refused), request.method(), request.uri(), request.headers());
        payer.take(Cost { requests: 1, bytes, records: 0 }).map_err(refused)?;
        if asks_for_stream(request.method(), request.uri(), request.headers()) {
            self.streams.extend(payer.stream().map_err(refused)?);
        }
        self.payers.add(payer);
        Ok(())
    }

    /// The body, read no faster than its sender may send.
    pub(crate) fn pace(&self, body: Body) -> Body {
        let known = body.size_hint().exact().is_some();
        if known || !self.payers.pay_for_bytes() {
            return body;
        }
        Body::new(Paced { body, payers: self.payers.clone(), pause: None })
    }

    /// The answer; what is held for the request is let go with it.
    pub(crate) fn follow(self, response: Response) -> Response {
        if self.streams.is_empty() {
            return response;
        }
        response.map(|body| Body::new(Holding { body, _streams: self.streams }))
    }
}

/// A refusal that passes, told so that a browser's `EventSource` comes back: on any status but 200 it gives up for ever.
pub(crate) fn passing(problem: Problem, method: &Method, uri: &Uri, headers: &HeaderMap) -> Problem {
    if asks_for_events(method, uri, headers) { problem.as_event_stream() } else { problem }
}

/// Whether the answer, if there is one, does not end.
fn asks_for_stream(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let follows = || peek(uri.query(), "follow").is_some_and(|value| value == "true");
    asks_for_events(method, uri, headers) || (is_read_of_records(method, uri) && follows())
}

fn asks_for_events(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    is_read_of_records(method, uri) && names_event_stream(uri.query(), headers)
}

fn is_read_of_records(method: &Method, uri: &Uri) -> bool {
    let path = uri.path().trim_end_matches('/');
    method == Method::GET && path.starts_with("/v1/") && path.ends_with("/records")
}

/// A body of unknown length that is read piece by piece, with pauses.
struct Paced {
    body: Body,
    payers: Payers,
    pause: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let pause = self.payers.streamed_bytes(data.len());
            self.pause = (!pause.is_zero()).then(|| Box::pin(sleep(pause)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer that something is held for.
struct Holding {
    body: Body,
    _streams: Vec<Held>,
}

impl HttpBody for Holding {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
