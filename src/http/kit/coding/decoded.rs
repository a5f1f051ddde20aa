//! The body of a request, unpacked: what handlers read is never packed, and no larger than it may be.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use axum::BoxError;
use axum::body::Body;
use axum::http::Request;
use axum::http::header;
use bytes::Buf;
use bytes::Bytes;
use http_body::Body as HttpBody;
use http_body::Frame;

use crate::http::kit::coding::decoder::Decoder;
use crate::http::kit::coding::decoder::PIECE_BYTES;
use crate::http::kit::coding::negotiation::Coding;
use crate::http::kit::memory::Held;
use crate::http::kit::memory::Room;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::kit::query::invalid;

/// How many times larger than it came a body may become, beyond what every body may be: far more than records that
/// differ at all can be packed, and a tenth of what a bomb needs.
const RATIO_MAX: u64 = 100;

/// Has the body unpacked while it is read, if it is packed. From then on it has no `Content-Encoding` and no known length.
/// It may become `bytes_max`, and what is read as a stream more, as far as it is not packed beyond a hundred to one.
///
/// # Errors
/// `unsupported_media_type` for a coding that is not known.
pub fn unpack(mut request: Request<Body>, bytes_max: usize, room: &Room) -> Result<Request<Body>, Problem> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let Some(coding) = Coding::of_request(request.headers())? else { return Ok(request) };
    request.headers_mut().remove(header::CONTENT_ENCODING);
    request.headers_mut().remove(header::CONTENT_LENGTH);
    let held = room.hold();
    Ok(request.map(|body| {
        Body::new(Decoded {
            body,
            decoder: Decoder::new(coding),
            held,
            coding,
            input: Bytes::new(),
            more: false,
            free: bytes_max as u64,
            read: 0,
            made: 0,
        })
    }))
}

/// Why a body cannot be unpacked, as the error that ends it.
#[derive(Debug)]
pub struct Refused(Problem);

impl Refused {
    /// The problem in the error that ended a body, if it is one.
    pub fn find<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Problem> {
        let mut error = Some(error);
        while let Some(here) = error {
            if let Some(Self(problem)) = here.downcast_ref::<Self>() {
                return Some(problem);
            }
            error = here.source();
        }
        None
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.detail())
    }
}

impl Error for Refused {}

struct Decoded {
    body: Body,
    decoder: Decoder,
    /// What the decoder looks back on.
    held: Held,
    coding: Coding,
    /// What came and is not unpacked.
    input: Bytes,
    /// More may come out without more input.
    more: bool,
    /// What may be made whatever was read for it, in bytes.
    free: u64,
    read: u64,
    made: u64,
}

impl Decoded {
    /// The next piece of what is there; empty if more input is needed.
    fn step(&mut self) -> Result<Vec<u8>, Problem> {
        let mut piece = Vec::new();
        while piece.is_empty() && (self.more || !self.input.is_empty()) {
            let step = self.decoder.step(&self.input, &mut piece).map_err(|_| self.malformed())?;
            self.input.advance(step.read);
            self.more = step.more;
            self.read += step.read as u64;
            self.made += piece.len() as u64;
            self.held.grow_to(self.decoder.memory())?;
            // Nor may it come without end and hold nothing.
            let empty = self.read > self.free + PIECE_BYTES as u64 && self.made < self.read / 2;
            if empty || (self.made > self.free && self.made / RATIO_MAX > self.read) {
                let detail =
                    format!("The body, unpacked, is larger than {} bytes, or {RATIO_MAX} times what came.", self.free);
                return Err(Problem::new(Code::RequestTooLarge, detail).with("limit", self.free));
            }
        }
        Ok(piece)
    }

    fn malformed(&self) -> Problem {
        let coding = self.coding.name();
        let detail = format!(
            "The body is not {coding}, as its Content-Encoding says, is cut short or goes on behind its end (zstd may \
             look back 8 MiB)."
        );
        invalid("body", detail)
    }
}

impl HttpBody for Decoded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let refuse = |problem| Poll::Ready(Some(Err(Refused(problem).into())));
        loop {
            match self.step() {
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => return Poll::Ready(Some(Ok(Frame::data(Bytes::from(piece))))),
                Err(problem) => return refuse(problem),
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.input = data;
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None if self.decoder.is_complete() => return Poll::Ready(None),
                None => return refuse(self.malformed()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::Compression;
    use flate2::read::GzEncoder;
    use http_body_util::BodyExt;

    use super::*;
    use crate::access::caller::Identity;
    use crate::http::kit::coding::encoder::Encoder;
    use crate::http::kit::context::Link;
    use crate::http::kit::memory::Memory;

    fn packed(coding: Coding, plain: &[u8]) -> Vec<u8> {
        let (mut encoder, mut packed) = (Encoder::new(coding), Vec::new());
        if coding == Coding::Gzip {
            // As small as it gets, for the sake of bombs.
            GzEncoder::new(plain, Compression::best()).read_to_end(&mut packed).expect("a slice is read");
            return packed;
        }
        encoder.run(plain, &mut packed).expect("it packs");
        encoder.finish(&mut packed).expect("it ends");
        packed
    }

    /// Reads a packed body to its end, or to its refusal; with how much was made by then.
    async fn read(coding: Coding, body: Vec<u8>, bytes_max: usize, memory: &Memory) -> (usize, Option<Code>) {
        let pieces: Vec<_> =
            body.chunks(10_000).map(|piece| Ok::<_, axum::Error>(Bytes::copy_from_slice(piece))).collect();
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        let request = Request::post("/").header(header::CONTENT_ENCODING, coding.name()).body(body).expect("a request");
        let room = memory.of(Identity::Anonymous, Link::LOOPBACK.remote);
        let mut body = unpack(request, bytes_max, &room).expect("known").into_body();
        let mut made = 0;
        loop {
            match body.frame().await {
                Some(Ok(frame)) => made += frame.into_data().expect("data").len(),
                None => return (made, None),
                Some(Err(error)) => {
                    return (made, Some(Refused::find(&error).expect("a refusal").code()));
                }
            }
        }
    }

    #[tokio::test]
    async fn a_bomb_is_refused_before_it_is_made() {
        let memory = Memory::new(64 << 20, 64 << 20);
        for coding in [Coding::Gzip, Coding::Zstd] {
            let bomb = packed(coding, &vec![b'x'; 64 << 20]);
            let (made, refused) = read(coding, bomb, 1 << 20, &memory).await;
            assert_eq!(refused, Some(Code::RequestTooLarge), "{coding:?}");
            let read = 10_000 * RATIO_MAX as usize; // the piece that it stood in
            assert!(made <= (1 << 20) + read + PIECE_BYTES, "{coding:?} made {made}");
        }
    }

    #[tokio::test]
    async fn a_stream_may_be_longer_as_long_as_it_is_one() {
        let memory = Memory::new(64 << 20, 64 << 20);
        let lines: String = (0..200_000).map(|n| format!("{{\"value\":{}}}\n", n * 7_919 % 1_000_003)).collect();
        let body = packed(Coding::Gzip, lines.as_bytes());
        assert_eq!(read(Coding::Gzip, body, 1_000, &memory).await, (lines.len(), None));
        // Members without end that hold nothing.
        let nothing = packed(Coding::Gzip, b"").repeat(20_000);
        assert_eq!(read(Coding::Gzip, nothing, 1_000, &memory).await, (0, Some(Code::RequestTooLarge)));
    }

    #[tokio::test]
    async fn what_decoders_look_back_on_is_counted() {
        let memory = Memory::new(256 << 10, 1 << 30);
        let body = packed(Coding::Zstd, &vec![b'x'; 4 << 20]);
        assert_eq!(read(Coding::Zstd, body, 8 << 20, &memory).await.1, Some(Code::Overloaded));
        assert_eq!(memory.held(), 0, "all is given back");
    }
}
