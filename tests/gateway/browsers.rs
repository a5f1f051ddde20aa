//! What a browser may reach: hosts, origins, preflights, and what a page of another origin gets to see.

use crate::harness::Backend;
use crate::harness::gateway::Gateway;
use crate::harness::on_each_backend;
use crate::harness::raw::Head;
use crate::harness::raw::exchange;
use crate::harness::raw::problem;

on_each_backend!(
    a_foreign_host_is_421,
    a_foreign_origin_is_403_on_every_method,
    our_own_origin_is_welcome,
    a_listed_origin_may_read_the_headers_that_matter,
    a_preflight_is_answered_for_listed_origins_only,
    origins_are_compared_whole,
    cross_site_requests_without_an_origin_are_refused_but_for_pages,
    the_pages_are_served,
    the_files_of_the_console_are_asked_for_again_and_sent_once,
    pages_cannot_be_framed_and_let_nothing_in,
);

const APP: &str = "https://app.example.com";

/// What `Access-Control-Expose-Headers` lists.
const EXPOSED: [&str; 11] = [
    "allow",
    "etag",
    "idempotency-replayed",
    "link",
    "location",
    "retry-after",
    "tidegate-cursor",
    "tidegate-at-tail",
    "tidegate-epoch",
    "tidegate-topic-created",
    "x-request-id",
];

/// Sends a request line and headers, with a `Host` of our own if none is among them.
async fn send(gateway: &Gateway, request: &str, headers: &[&str]) -> (Head, String) {
    let line = format!("{request} HTTP/1.1");
    let host = format!("Host: {}", gateway.address());
    let mut lines = vec![line.as_str()];
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        lines.push(&host);
    }
    lines.extend(headers);
    exchange(gateway.address(), &lines).await
}

fn assert_refused(answer: &(Head, String), status: u16, code: &str, why: &str) {
    let (head, body) = answer;
    assert_eq!(head.status, status, "{why}: {body}");
    assert_eq!(problem(body)["code"], code, "{why}");
    assert_eq!(head.header("access-control-allow-origin"), None, "{why}");
}

/// The names in a header that lists some, in lower case.
fn list(head: &Head, name: &str) -> Vec<String> {
    let value = head.header(name).unwrap_or_else(|| panic!("no {name} in {head:?}"));
    value.split(',').map(|item| item.trim().to_ascii_lowercase()).collect()
}

async fn a_foreign_host_is_421(backend: Backend) {
    let gateway = Gateway::with(backend, &["--allowed-host", "tides.example.com"]).await;
    let port = gateway.address().port();
    for host in ["localhost", "127.0.0.1", "[::1]", "tides.example.com", "LOCALHOST"] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            let (head, _) = send(&gateway, "GET /v1", &[&format!("Host: {host}")]).await;
            assert_eq!(head.status, 200, "{host}");
        }
    }
    for host in ["evil.com", "127.0.0.1.evil.com", "localhost.evil.com", "2130706433", "tides.example.com.evil.com"] {
        let header = format!("Host: {host}:{port}");
        for request in ["GET /v1", "GET /", "GET /v1/topics/x/records", "DELETE /v1/topics/x", "OPTIONS /v1"] {
            let answer = send(&gateway, request, &[&header]).await;
            assert_refused(&answer, 421, "host_not_allowed", &format!("{request} at {host}"));
        }
        for request in ["GET /healthz", "GET /readyz"] {
            assert_eq!(send(&gateway, request, &[&header]).await.0.status, 200, "probes do not know our name");
        }
    }
    let absolute = send(&gateway, "GET http://evil.com/v1", &[]).await;
    assert_refused(&absolute, 421, "host_not_allowed", "the absolute form counts");
}

async fn a_foreign_origin_is_403_on_every_method(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let topic = gateway.topic("orders", 1).await;
    for origin in ["https://evil.com", "null", "http://localhost:1", "file://"] {
        let header = format!("Origin: {origin}");
        for request in [
            "GET /v1",
            "GET /v1/topics/orders/records",
            "GET /v1/topics/orders/records?format=sse",
            "POST /v1/topics/orders/values",
            "PUT /v1/topics/evil",
            "DELETE /v1/topics/orders",
        ] {
            let answer = send(&gateway, request, &[&header, "Content-Length: 0"]).await;
            assert_refused(&answer, 403, "origin_not_allowed", &format!("{request} from {origin}"));
        }
        let head =
            send(&gateway, "OPTIONS /v1/topics/orders", &[&header, "Access-Control-Request-Method: DELETE"]).await;
        assert_refused(&head, 403, "origin_not_allowed", origin);
    }
    assert_eq!(topic.high_watermark(0).await, 0);
}

async fn our_own_origin_is_welcome(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let own = format!("Origin: http://{}", gateway.address());
    let same_site = "Sec-Fetch-Site: same-origin";
    let answer = send(&gateway, "PUT /v1/topics/orders", &[&own, same_site, "Content-Length: 0"]).await;
    assert_eq!(answer.0.status, 201);
    let local = format!("localhost:{}", gateway.address().port());
    let (host, origin) = (format!("Host: {local}"), format!("Origin: http://{local}"));
    assert_eq!(send(&gateway, "GET /v1/topics/orders/records", &[&host, &origin]).await.0.status, 200);
    let mixed = send(&gateway, "GET /v1/topics/orders/records", &[&origin]).await;
    assert_refused(&mixed, 403, "origin_not_allowed", "another name is another origin");
}

async fn a_listed_origin_may_read_the_headers_that_matter(backend: Backend) {
    let gateway = Gateway::with(backend, &["--cors-origin", APP]).await;
    gateway.topic("orders", 1).await;
    let origin = format!("Origin: {APP}");
    for (request, status) in [("GET /v1/topics/orders/records", 200), ("GET /v1/topics/none", 404)] {
        let (head, _) = send(&gateway, request, &[&origin, "Sec-Fetch-Site: cross-site"]).await;
        assert_eq!(head.status, status);
        assert_eq!(head.header("access-control-allow-origin"), Some(APP), "refusals can be read as well");
        let exposed = list(&head, "access-control-expose-headers");
        for name in EXPOSED {
            assert!(exposed.iter().any(|exposed| exposed == name), "{name} is missing in {exposed:?}");
        }
        assert!(list(&head, "vary").contains(&"origin".to_owned()));
    }
    let (head, _) = send(&gateway, "GET /v1", &[]).await;
    assert_eq!(head.status, 200, "who is no browser needs no origin");
}

async fn a_preflight_is_answered_for_listed_origins_only(backend: Backend) {
    let gateway = Gateway::with(backend, &["--cors-origin", APP, "--cors-origin", "http://localhost:5173"]).await;
    for allowed in [APP, "http://localhost:5173"] {
        let origin = format!("Origin: {allowed}");
        let asked = "content-type, idempotency-key, last-event-id, record-header-trace, x-request-id, if-none-match";
        let headers = format!("Access-Control-Request-Headers: {asked}");
        let method = "Access-Control-Request-Method: POST";
        let (head, body) = send(&gateway, "OPTIONS /v1/topics/orders/values", &[&origin, method, &headers]).await;
        assert_eq!((head.status, body.as_str()), (204, ""));
        assert_eq!(head.header("access-control-allow-origin"), Some(allowed));
        assert!(list(&head, "access-control-allow-methods").contains(&"post".to_owned()), "{head:?}");
        let granted = list(&head, "access-control-allow-headers");
        for name in asked.split(", ").chain(["accept", "authorization"]) {
            assert!(granted.iter().any(|granted| granted == name), "{name} is missing in {granted:?}");
        }
        let foreign = "Access-Control-Request-Headers: x-forwarded-for";
        let (head, _) = send(&gateway, "OPTIONS /v1/topics/orders/values", &[&origin, method, foreign]).await;
        assert!(!list(&head, "access-control-allow-headers").contains(&"x-forwarded-for".to_owned()));
    }
}

async fn origins_are_compared_whole(backend: Backend) {
    let gateway = Gateway::with(backend, &["--cors-origin", APP]).await;
    for origin in [
        "https://app.example.com.evil.com",
        "https://evil-app.example.com",
        "https://evil.com/https://app.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com/",
        "https://sub.app.example.com",
        "app.example.com",
        "",
    ] {
        let header = format!("Origin: {origin}");
        let answer = send(&gateway, "GET /v1/topics", &[&header]).await;
        assert_refused(&answer, 403, "origin_not_allowed", origin);
    }
}

async fn cross_site_requests_without_an_origin_are_refused_but_for_pages(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    gateway.topic("orders", 1).await;
    for request in ["GET /v1/topics/orders/records?format=sse", "GET /v1/topics", "GET /openapi.json"] {
        let scripted = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"];
        let answer = send(&gateway, request, &scripted).await;
        assert_refused(&answer, 403, "origin_not_allowed", request);
    }
    let link = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
    assert_eq!(send(&gateway, "GET /", &link).await.0.status, 200, "a link to our page may be followed");
    for site in ["same-origin", "same-site", "none"] {
        let header = format!("Sec-Fetch-Site: {site}");
        assert_eq!(send(&gateway, "GET /v1/topics", &[&header]).await.0.status, 200, "{site}");
    }
}

async fn the_pages_are_served(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    let page = gateway.get("/").send().await.is(200);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    assert!(page.text().contains("/console/app.js"), "the console");
    let docs = gateway.get("/docs").send().await.is(200);
    for html in [page.text(), docs.text()] {
        for tag in html.split('<').filter_map(|tag| tag.split('>').next()) {
            let fetches = ["script", "link", "img"].iter().any(|name| tag.starts_with(name));
            assert!(!(fetches && tag.contains("//")), "nothing is fetched from elsewhere: <{tag}>");
        }
    }
    gateway.get("/healthz").send().await.is(200);
    gateway.get("/readyz").send().await.is(200);
}

async fn the_files_of_the_console_are_asked_for_again_and_sent_once(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    for (path, kind) in [
        ("/", "text/html"),
        ("/console/app.js", "text/javascript"),
        ("/console/views/tail.js", "text/javascript"),
        ("/console/console.css", "text/css"),
        ("/console/mark.svg", "image/svg+xml"),
    ] {
        let file = gateway.get(path).send().await.is(200);
        assert!(file.header("content-type").is_some_and(|given| given.starts_with(kind)), "{path}");
        assert_eq!(file.header("cache-control"), Some("no-cache"), "{path}");
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"), "{path}");
        let tag = file.header("etag").expect("a tag").to_owned();
        let again = gateway.get(path).header("if-none-match", &tag).send().await.is(304);
        assert_eq!((again.header("etag"), again.text()), (Some(tag.as_str()), ""), "{path}");
        gateway.get(path).header("if-none-match", "\"other\"").send().await.is(200);
    }
    for none in ["/console/nothing.js", "/console/../lib.rs", "/console/views", "/console/index.html"] {
        gateway.get(none).send().await.problem(404, "unknown_path");
    }
}

async fn pages_cannot_be_framed_and_let_nothing_in(backend: Backend) {
    let gateway = Gateway::start(backend).await;
    for path in ["/", "/console/app.js", "/problems", "/problems/rate_limited", "/docs/", "/docs/swagger-ui-bundle.js"]
    {
        let page = gateway.get(path).send().await.is(200);
        assert_eq!(page.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{path}");
        let policy = page.header("content-security-policy").expect("a page has a policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        let scripts = policy.split(';').find(|part| part.trim().starts_with("script-src"));
        assert!(scripts.is_none_or(|scripts| !scripts.contains("unsafe")), "{path}: {policy}");
    }
}
