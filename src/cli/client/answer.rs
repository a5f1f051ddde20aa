//! An answer whose body is read as it comes.

use std::mem;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http_body_util::BodyExt;
use http_body_util::LengthLimitError;
use http_body_util::Limited;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::header::RETRY_AFTER;
use memchr::memchr;

use crate::cli::client::dial::Dialer;
use crate::cli::problem::CallError;
use crate::cli::problem::Problem;

/// The longest line that is put together, in bytes: far above what one record takes, whatever the gateway's limits.
const LINE_BYTES_MAX: usize = 64 << 20;

/// The longest answer that is read whole, in bytes: four times what the gateway's largest page takes by default.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What is read of a refusal, in bytes.
const PROBLEM_BYTES_MAX: usize = 1 << 20;

/// An answer: its head is there, its body comes.
pub struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Incoming,
    /// What was read beyond the last line.
    rest: Bytes,
    dialer: Dialer,
}

impl Answer {
    pub(super) fn new(response: Response<Incoming>, dialer: Dialer) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status.as_u16(), headers: head.headers, body, rest: Bytes::new(), dialer }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// A header that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What `Retry-After` asks for.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.header(RETRY_AFTER.as_str())?.parse().ok().map(Duration::from_secs)
    }

    /// The answer itself if it is a success, else what it says.
    ///
    /// # Errors
    /// [`CallError::Refused`], or [`CallError::Foreign`] for a redirection.
    pub async fn accepted(self) -> Result<Self, CallError> {
        match self.status {
            200..300 => Ok(self),
            400.. => {
                let (status, retry_after) = (self.status, self.retry_after());
                let body = Limited::new(self.body, PROBLEM_BYTES_MAX).collect().await;
                let body = body.map(|body| body.to_bytes()).unwrap_or_default();
                Err(CallError::Refused(Box::new(Problem::read(status, retry_after, &body))))
            }
            status => Err(self.dialer.foreign(&format!("HTTP status {status}"))),
        }
    }

    /// What came next, however much it is; `None` at the end.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] if the answer broke off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, CallError> {
        if !self.rest.is_empty() {
            return Ok(Some(mem::take(&mut self.rest)));
        }
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| self.dialer.unreachable(&error))?;
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The next line without its end; `None` at the end.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] if the answer broke off, [`CallError::Foreign`] if the line has no end.
    pub async fn line(&mut self) -> Result<Option<Bytes>, CallError> {
        let mut line = BytesMut::new();
        while let Some(mut chunk) = self.chunk().await? {
            let Some(end) = memchr(b'\n', &chunk) else {
                line.extend_from_slice(&chunk);
                if line.len() > LINE_BYTES_MAX {
                    return Err(self.dialer.foreign(&"a line does not end"));
                }
                continue;
            };
            let end = chunk.split_to(end);
            self.rest = chunk.split_off(1);
            if line.is_empty() {
                return Ok(Some(end));
            }
            line.extend_from_slice(&end);
            return Ok(Some(line.freeze()));
        }
        Ok((!line.is_empty()).then(|| line.freeze()))
    }

    /// It ended before its end.
    pub fn broken_off(&self) -> CallError {
        self.dialer.unreachable(&"the answer broke off")
    }

    /// All that is left of the body.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] if the answer broke off, [`CallError::Foreign`] if it does not end.
    pub async fn all(self) -> Result<Bytes, CallError> {
        match Limited::new(self.body, ANSWER_BYTES_MAX).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                let why = format!("the answer is larger than {ANSWER_BYTES_MAX} bytes");
                Err(self.dialer.foreign(&why))
            }
            Err(error) => Err(self.dialer.unreachable(&error)),
        }
    }
}
