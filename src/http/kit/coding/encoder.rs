//! Packs an answer piece by piece: fast rather than small, for it is done while somebody waits.

use std::io;

use flate2::Compress;
use flate2::Compression;
use flate2::FlushCompress;
use flate2::Status;
use zstd_safe::CCtx;
use zstd_safe::CParameter;
use zstd_safe::InBuffer;
use zstd_safe::OutBuffer;
use zstd_safe::zstd_sys::ZSTD_EndDirective;

use crate::http::kit::coding::negotiation::Coding;

/// Level of either coding: JSON shrinks to a fifth or less already with the fastest.
const LEVEL: u8 = 1;
const WINDOW_BITS: u8 = 15;
/// Room for what comes out is made in such steps.
const ROOM: usize = 16 << 10;

/// Packs one answer.
pub(crate) enum Encoder {
    Gzip(Compress),
    Zstd(CCtx<'static>),
}

impl Encoder {
    /// Ready for the first byte.
    pub(crate) fn new(coding: Coding) -> Self {
        match coding {
            Coding::Gzip => Self::Gzip(Compress::new_gzip(Compression::new(u32::from(LEVEL)), WINDOW_BITS)),
            Coding::Zstd => {
                let mut zstd = CCtx::create();
                zstd.set_parameter(CParameter::CompressionLevel(i32::from(LEVEL))).expect("zstd knows the parameter");
                Self::Zstd(zstd)
            }
        }
    }

    /// Packs all of `input` behind the end of `output`; some of it may come out later.
    ///
    /// # Errors
    /// There is no memory.
    pub(crate) fn run(&mut self, input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Gzip(gzip) => {
                let mut rest = input;
                while !rest.is_empty() {
                    output.reserve(ROOM);
                    let from = gzip.total_in();
                    gzip.compress_vec(rest, output, FlushCompress::None).map_err(io::Error::other)?;
                    let read = usize::try_from(gzip.total_in() - from).expect("no more than the input");
                    rest = &rest[read..];
                }
            }
            Self::Zstd(zstd) => {
                let mut rest = InBuffer::around(input);
                while rest.pos() < input.len() {
                    zstd_step(zstd, &mut rest, output, ZSTD_EndDirective::ZSTD_e_continue)?;
                }
            }
        }
        Ok(())
    }

    /// Writes the rest and the end behind `output`.
    ///
    /// # Errors
    /// There is no memory.
    pub(crate) fn finish(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Gzip(gzip) => loop {
                output.reserve(ROOM);
                let status = gzip.compress_vec(&[], output, FlushCompress::Finish).map_err(io::Error::other)?;
                if status == Status::StreamEnd {
                    return Ok(());
                }
            },
            Self::Zstd(zstd) => {
                let mut nothing = InBuffer::around(&[]);
                while zstd_step(zstd, &mut nothing, output, ZSTD_EndDirective::ZSTD_e_end)? > 0 {}
                Ok(())
            }
        }
    }
}

/// One step; returns how much is left to be written, at least.
fn zstd_step(
    zstd: &mut CCtx<'static>,
    input: &mut InBuffer<'_>,
    output: &mut Vec<u8>,
    directive: ZSTD_EndDirective,
) -> io::Result<usize> {
    output.reserve(ROOM);
    let end = output.len();
    let mut output = OutBuffer::around_pos(output, end);
    let left = zstd.compress_stream2(&mut output, input, directive);
    left.map_err(|code| io::Error::other(zstd_safe::get_error_name(code)))
}
