//! What is produced: varied JSON like that of a web shop, the same in every run, wrapped in ready HTTP requests so that
//! the load generator only copies bytes.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;

const PAGES: [&str; 12] = [
    "/",
    "/cart",
    "/checkout",
    "/search?q=desk+lamp",
    "/search?q=usb-c",
    "/account/orders",
    "/help/returns",
    "/c/kitchen",
    "/c/garden",
    "/c/office",
    "/blog/how-we-pack",
    "/legal/privacy",
];
const REFERRERS: [&str; 6] = [
    "https://www.google.com/",
    "https://duckduckgo.com/",
    "https://t.co/8fKx2",
    "https://news.example.org/a/91",
    "android-app://com.slack",
    "",
];
const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "curl/8.7.1",
];
const PRODUCTS: [&str; 10] = [
    "Desk lamp \"Halo\", brass",
    "Espresso cups, set of 4",
    "USB-C cable 2 m",
    "Wool blanket 140×200",
    "Bike bell",
    "Notebook A5, dotted",
    "Cast iron pan 28 cm",
    "Garden shears",
    "Büroklammern, 100 Stück",
    "Plant pot, terracotta",
];
const CITIES: [(&str, &str); 6] =
    [("DE", "Köln"), ("FR", "Lyon"), ("US", "Portland"), ("BR", "São Paulo"), ("JP", "大阪"), ("IN", "Pune")];

/// A page view of about 100 bytes.
fn small_value(out: &mut String, rng: &mut Rng) {
    let page = rng.choice(PAGES).unwrap_or("/");
    let referrer = rng.choice(REFERRERS).unwrap_or("");
    let (user, took, ok) = (rng.u32(1..90_000), rng.u32(3..1_800), rng.u8(..) > 8);
    let _ = write!(out, r#"{{"user":"u-{user}","page":"{page}","ref":"{referrer}","took_ms":{took},"ok":{ok}}}"#);
}

/// An order of about 1 KB: nested, with numbers, Unicode, escapes and a list.
fn large_value(out: &mut String, rng: &mut Rng) {
    let start = out.len();
    let (country, city) = rng.choice(CITIES).unwrap_or(CITIES[0]);
    let agent = rng.choice(AGENTS).unwrap_or(AGENTS[0]);
    let (order, session, user) = (rng.u64(..1 << 40), rng.u128(..), rng.u32(1..90_000));
    let (latitude, longitude) = (rng.f64() * 120.0 - 60.0, rng.f64() * 360.0 - 180.0);
    let _ = write!(
        out,
        r#"{{"event":"order_placed","order_id":{order},"session":"{session:032x}","user":{{"id":"u-{user}","email":"user{user}@mail.example","since":"20{:02}-0{}-1{}","newsletter":{}}},"geo":{{"country":"{country}","city":"{city}","lat":{latitude:.5},"lon":{longitude:.5}}},"agent":"{agent}","items":["#,
        rng.u8(10..25),
        rng.u8(1..10),
        rng.u8(0..10),
        rng.bool(),
    );
    // Items until the record is as long as wanted: the number of items varies with the lengths of the rest.
    while out.len() - start < 880 {
        let product = rng.choice(PRODUCTS).unwrap_or(PRODUCTS[0]).replace('"', "\\\"");
        let (sku, cents, quantity) = (rng.u32(100_000..999_999), rng.u32(99..40_000), rng.u8(1..5));
        let (euros, cents) = (cents / 100, cents % 100);
        let _ = write!(
            out,
            r#"{{"sku":"SKU-{sku}","name":"{product}","price":{euros}.{cents:02},"quantity":{quantity}}},"#
        );
    }
    out.pop();
    let _ = write!(out, r#"],"coupon":null,"total_cents":{},"paid":{}}}"#, rng.u32(500..90_000), rng.bool());
}

/// A keep-alive request of HTTP/1.1, whole.
pub(crate) fn request(method: &str, path: &str, accept: &str, body: &str) -> Bytes {
    let length = body.len();
    Bytes::from(format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

/// A request without a body.
pub(crate) fn get(path: &str, accept: &str) -> Bytes {
    Bytes::from(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\n\r\n"))
}

/// Posts of one small record each, without a partition: the server picks it.
pub(crate) fn single_posts(topic: &str) -> Arc<[Bytes]> {
    let mut rng = Rng::with_seed(1);
    posts(topic, 4_096, |body| {
        body.push_str(r#"{"value":"#);
        small_value(body, &mut rng);
        body.push('}');
    })
}

/// The value of one record of [`single_posts`].
pub(crate) fn small_row() -> String {
    let mut value = String::new();
    small_value(&mut value, &mut Rng::with_seed(1));
    value
}

/// Posts of one small record each, over the first `active` partitions at random.
pub(crate) fn single_posts_over(topic: &str, active: u32) -> Arc<[Bytes]> {
    let mut rng = Rng::with_seed(2);
    posts(topic, 16_384, |body| {
        let _ = write!(body, r#"{{"partition":{},"value":"#, rng.u32(..active));
        small_value(body, &mut rng);
        body.push('}');
    })
}

/// Stands before the time of sending in a record of [`stamped_post`].
pub(crate) const STAMP: &str = r#""sent_us":"#;

/// A post of one small record that says when it was sent.
pub(crate) fn stamped_post(topic: &str, sent_us: u64, rng: &mut Rng) -> Bytes {
    let mut value = String::new();
    small_value(&mut value, rng);
    let body = format!(r#"{{"records":[{{"value":{{{STAMP}{sent_us},{}}}]}}"#, &value[1..]);
    request("POST", &format!("/v1/topics/{topic}/records"), "application/json", &body)
}

/// How many records a request of [`batch_posts`] has.
pub(crate) const BATCH: usize = 1_000;

/// Posts of [`BATCH`] records of about 1 KB each: 24 different ones, about 25 MB in all.
pub(crate) fn batch_posts(topic: &str) -> Arc<[Bytes]> {
    order_posts(topic, 24, BATCH)
}

/// Posts of `records` records of about 1 KB each: `count` different ones.
pub(crate) fn order_posts(topic: &str, count: usize, records: usize) -> Arc<[Bytes]> {
    let mut rng = Rng::with_seed(3);
    posts(topic, count, |body| {
        for record in 0..records {
            let _ = write!(body, r#"{}{{"key":"u-{}","value":"#, if record == 0 { "" } else { "," }, rng.u32(..90_000));
            large_value(body, &mut rng);
            body.push('}');
        }
    })
}

/// The values of as many records as a request of [`batch_posts`] has, one behind the other.
pub(crate) fn large_row() -> String {
    let (mut rng, mut values) = (Rng::with_seed(3), String::new());
    (0..BATCH).for_each(|_| large_value(&mut values, &mut rng));
    values
}

/// One post with a small record for each of the partitions `0..count`.
pub(crate) fn touch_all(topic: &str, count: u32) -> Bytes {
    let mut rng = Rng::with_seed(4);
    let mut partitions = 0..count;
    let all = posts(topic, 1, |body| {
        for partition in partitions.by_ref() {
            let _ = write!(body, r#"{}{{"partition":{partition},"value":"#, if partition == 0 { "" } else { "," });
            small_value(body, &mut rng);
            body.push('}');
        }
    });
    all[0].clone()
}

/// About `bytes` of NDJSON as the gateway would write it, for when there is no gateway to ask.
pub(crate) fn ndjson(bytes: usize) -> String {
    let mut rng = Rng::with_seed(5);
    let mut out = String::with_capacity(bytes + 2_048);
    let mut offset = 0;
    while out.len() < bytes {
        let _ = write!(out, r#"{{"topic":"dump","partition":0,"offset":{offset},"timestamp":1732233600000,"value":"#);
        large_value(&mut out, &mut rng);
        out.push_str("}\n");
        offset += 1;
    }
    out
}

fn posts(topic: &str, count: usize, mut records: impl FnMut(&mut String)) -> Arc<[Bytes]> {
    let path = format!("/v1/topics/{topic}/records");
    let mut body = String::new();
    (0..count)
        .map(|_| {
            body.clear();
            body.push_str(r#"{"records":["#);
            records(&mut body);
            body.push_str("]}");
            request("POST", &path, "application/json", &body)
        })
        .collect()
}
