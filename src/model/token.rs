//! Tokens that clients hold for us: bytes with a checksum, as text that may stand in a query, a header and an event's id.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Appends `bytes` and their CRC-32C to `out`, as base64 in the URL's alphabet without padding.
pub(in crate::model) fn seal(mut bytes: Vec<u8>, out: &mut Vec<u8>) {
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written =
        URL_SAFE_NO_PAD.encode_slice(&bytes, &mut out[start..]).expect("room for four characters per three bytes");
    out.truncate(start + written);
}

/// The bytes that were sealed; `None` if the text is longer than `text_bytes_max`, or was cut or changed.
pub(in crate::model) fn open(text: &str, text_bytes_max: usize) -> Option<Vec<u8>> {
    if text.len() > text_bytes_max {
        return None;
    }
    let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    let sound = crc32c::crc32c(body) == u32::from_le_bytes(*crc);
    let length = body.len();
    bytes.truncate(length);
    sound.then_some(bytes)
}
