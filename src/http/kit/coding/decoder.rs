//! Unpacks a body piece by piece, each into a buffer of bounded size: what a body would expand to is never made before it
//! is known that it may be.

use flate2::Decompress;
use flate2::FlushDecompress;
use flate2::Status;
use zstd_safe::DCtx;
use zstd_safe::DParameter;
use zstd_safe::InBuffer;
use zstd_safe::OutBuffer;

use crate::http::kit::coding::negotiation::Coding;

/// A piece of what comes out.
pub(crate) const PIECE_BYTES: usize = 64 << 10;
/// Deflate looks back 32 KiB, as RFC 1951 has it.
const DEFLATE_WINDOW_BITS: u8 = 15;
/// zstd looks back as far as the sender says, at most 8 MiB: what RFC 8878 section 3.1.1.1.2 asks every decoder to take.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// That a body is not what it is said to be, is cut short, or goes on behind its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What one step came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Bytes that were read of the input.
    pub(crate) read: usize,
    /// More may come out without more input.
    pub(crate) more: bool,
}

/// Unpacks one body. Several members (frames) behind each other are one body, as the formats have it.
pub(crate) struct Decoder {
    inner: Inner,
    /// Nothing of a member is left over.
    between: bool,
    /// A member has ended.
    any: bool,
}

enum Inner {
    Gzip(Decompress),
    Zstd(DCtx<'static>),
}

impl Decoder {
    /// Ready for the first byte.
    pub(crate) fn new(coding: Coding) -> Self {
        Self { inner: Inner::new(coding), between: true, any: false }
    }

    /// Unpacks from `input` behind the end of `output`, which takes [`PIECE_BYTES`] more at most.
    pub(crate) fn step(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<Step, Malformed> {
        output.reserve_exact(PIECE_BYTES);
        let room = output.capacity();
        let before = output.len();
        let (read, ended) = match &mut self.inner {
            Inner::Gzip(gzip) => {
                if self.between && self.any && !input.is_empty() {
                    *gzip = Decompress::new_gzip(DEFLATE_WINDOW_BITS);
                }
                let from = gzip.total_in();
                let status = gzip.decompress_vec(input, output, FlushDecompress::None).map_err(|_| Malformed)?;
                let read = usize::try_from(gzip.total_in() - from).expect("no more than the input");
                (read, status == Status::StreamEnd)
            }
            Inner::Zstd(zstd) => {
                let mut input = InBuffer::around(input);
                let mut output = OutBuffer::around_pos(output, before);
                let left = zstd.decompress_stream(&mut output, &mut input).map_err(|_| Malformed)?;
                (input.pos(), left == 0)
            }
        };
        let produced = output.len() - before;
        if ended {
            (self.between, self.any) = (true, true);
        } else if read > 0 || produced > 0 {
            self.between = false;
        }
        let more = output.len() == room && !ended;
        if read == 0 && produced == 0 && !input.is_empty() && !ended {
            return Err(Malformed); // it would never go on
        }
        Ok(Step { read, more })
    }

    /// Whether what was read is whole.
    pub(crate) fn is_complete(&self) -> bool {
        self.between && self.any
    }

    /// What it takes to look back, in bytes.
    pub(crate) fn memory(&self) -> usize {
        match &self.inner {
            Inner::Gzip(_) => 1 << DEFLATE_WINDOW_BITS,
            Inner::Zstd(zstd) => zstd.sizeof(),
        }
    }
}

impl Inner {
    fn new(coding: Coding) -> Self {
        match coding {
            Coding::Gzip => Self::Gzip(Decompress::new_gzip(DEFLATE_WINDOW_BITS)),
            Coding::Zstd => {
                let mut zstd = DCtx::create();
                zstd.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).expect("zstd knows the parameter");
                Self::Zstd(zstd)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::http::kit::coding::encoder::Encoder;

    fn pack(coding: Coding, plain: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new(coding);
        let mut packed = Vec::new();
        encoder.run(plain, &mut packed).expect("it packs");
        encoder.finish(&mut packed).expect("it ends");
        packed
    }

    fn unpack(coding: Coding, packed: &[u8], pieces: usize) -> Result<Vec<u8>, Malformed> {
        let (mut decoder, mut plain) = (Decoder::new(coding), Vec::new());
        for mut piece in packed.chunks(pieces) {
            let mut more = false;
            while !piece.is_empty() || more {
                let mut out = Vec::new();
                let step = decoder.step(piece, &mut out)?;
                assert!(out.len() <= PIECE_BYTES, "{}", out.len());
                plain.extend(out);
                (piece, more) = (&piece[step.read..], step.more);
            }
        }
        if decoder.is_complete() { Ok(plain) } else { Err(Malformed) }
    }

    const BOTH: [Coding; 2] = [Coding::Gzip, Coding::Zstd];

    #[test]
    fn what_is_cut_or_changed_or_goes_on_is_told() {
        let plain: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        for coding in BOTH {
            let packed = pack(coding, &plain);
            assert_eq!(unpack(coding, &packed, 1_000).expect("whole"), plain);
            let twice = [packed.clone(), packed.clone()].concat();
            assert_eq!(unpack(coding, &twice, 1_000).expect("two members").len(), 2 * plain.len());
            for cut in [1, 5, packed.len() / 2, packed.len() - 1] {
                assert_eq!(unpack(coding, &packed[..cut], 1_000), Err(Malformed), "{coding:?} cut at {cut}");
            }
            let garbage = [packed.clone(), vec![0; 1 << 20]].concat();
            assert_eq!(unpack(coding, &garbage, 1_000), Err(Malformed), "{coding:?} with zeros behind it");
            let garbage = [packed.clone(), b"garbage".to_vec()].concat();
            assert_eq!(unpack(coding, &garbage, 1 << 30), Err(Malformed), "{coding:?} with garbage behind it");
            assert_eq!(unpack(coding, b"not packed at all", 7), Err(Malformed));
            assert_eq!(unpack(coding, b"", 1), Err(Malformed));
        }
        let mut packed = pack(Coding::Gzip, &plain);
        let last = packed.len() - 6; // of the checksum
        packed[last] ^= 1;
        assert_eq!(unpack(Coding::Gzip, &packed, 1_000), Err(Malformed));
    }

    #[test]
    fn a_zstd_frame_may_look_back_eight_mebibytes() {
        // A frame header (RFC 8878 section 3.1.1.1): no content size, a window of 2^(10 + exponent), and an empty last
        // raw block.
        let frame = |exponent: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3, 1, 0, 0];
        assert_eq!(unpack(Coding::Zstd, &frame(13), 100).expect("8 MiB"), b"");
        assert_eq!(unpack(Coding::Zstd, &frame(14), 100), Err(Malformed));
        assert_eq!(unpack(Coding::Zstd, &frame(21), 100), Err(Malformed), "2 GiB");
    }

    #[test]
    fn a_bomb_comes_out_piece_by_piece() {
        for coding in BOTH {
            let packed = pack(coding, &vec![0; 100 << 20]);
            assert!(packed.len() < 2 << 20, "{}", packed.len());
            let mut decoder = Decoder::new(coding);
            let mut out = Vec::new();
            let step = decoder.step(&packed, &mut out).expect("a piece");
            assert!(out.len() <= PIECE_BYTES && step.more, "{coding:?}");
        }
    }

    proptest! {
        #[test]
        fn anything_comes_out_as_it_went_in(
            plain in vec(any::<u8>(), 0..5_000), repeat in 1..50usize, pieces in 1..5_000usize, zstd: bool,
        ) {
            let coding = BOTH[usize::from(zstd)];
            let plain = plain.repeat(repeat);
            prop_assert_eq!(unpack(coding, &pack(coding, &plain), pieces), Ok(plain));
        }

        #[test]
        fn noise_is_refused_or_read_and_never_more(noise in vec(any::<u8>(), 0..2_000), zstd: bool, pieces in 1..500usize) {
            let _ = unpack(BOTH[usize::from(zstd)], &noise, pieces); // it ends
        }
    }
}
