//! Traceparent as the standard has it, and endpoints as people write them.

use crate::telemetry::traces::context::Parent;
use crate::telemetry::traces::context::SpanContext;
use crate::telemetry::traces::endpoint::Endpoint;
use crate::telemetry::traces::endpoint::EndpointError;

#[test]
fn a_traceparent_is_read_as_the_standard_has_it() {
    let context = SpanContext { trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, span: 0x00f0_67aa_0ba9_02b7 };
    for (header, sampled) in [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", false),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", true),
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings", true),
    ] {
        assert_eq!(Parent::parse(header.as_bytes()), Some(Parent { context, sampled }), "{header}");
    }
    assert_eq!(context.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7");
}

#[test]
fn what_is_no_traceparent_is_none() {
    for header in [
        &b""[..],
        b"00",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
        b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
        b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        b"00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\xff",
        "00-4bf92f3577b34da6a3ce929d0e0e47ää-00f067aa0ba902b7-01".as_bytes(),
    ] {
        assert_eq!(Parent::parse(header), None, "{}", String::from_utf8_lossy(header));
    }
}

#[test]
fn an_endpoint_is_completed() {
    let read = |text: &str| text.parse::<Endpoint>().map(|found| (found.authority, found.address, found.path));
    let of = |a: &str, b: &str, c: &str| Ok((a.to_owned(), b.to_owned(), c.to_owned()));
    assert_eq!(read("http://collector"), of("collector", "collector:4318", "/v1/traces"));
    assert_eq!(read("http://127.0.0.1:9/otlp/"), of("127.0.0.1:9", "127.0.0.1:9", "/otlp/v1/traces"));
    assert_eq!(read("http://[::1]:4318"), of("[::1]:4318", "[::1]:4318", "/v1/traces"));
    assert_eq!(read("https://collector"), Err(EndpointError::Https));
    for bad in ["collector:4318", "ftp://a", "http://", "http://a:b", "http://a:0", "http://me:secret@a", "http://a?b"]
    {
        assert_eq!(read(bad), Err(EndpointError::Malformed), "{bad}");
    }
}
