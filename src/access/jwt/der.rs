//! Public keys in PEM form: `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7) of RSA or of the curve P-256.

use rustls::pki_types::alg_id::ECDSA_P256;
use rustls::pki_types::alg_id::RSA_ENCRYPTION;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::pem::SectionKind;

use crate::access::jwt::key::BadKey;
use crate::access::jwt::key::Key;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// The public key of a PEM file that holds just one.
///
/// # Errors
/// [`BadKey`] says what it is instead.
pub(super) fn read_pem(pem: &[u8]) -> Result<Key, BadKey> {
    let mut sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem);
    let (Some(Ok((kind, der))), None) = (sections.next(), sections.next()) else { return Err(BadKey::Pem) };
    match kind {
        SectionKind::PublicKey => read_spki(&der),
        SectionKind::Certificate => Err(BadKey::Certificate),
        SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => Err(BadKey::Private),
        _ => Err(BadKey::Pem),
    }
}

fn read_spki(der: &[u8]) -> Result<Key, BadKey> {
    let (algorithm, key) = split_spki(der).ok_or(BadKey::Pem)?;
    if algorithm == ECDSA_P256.as_ref() {
        Key::p256(key)
    } else if algorithm == RSA_ENCRYPTION.as_ref() {
        let (n, e) = split_rsa(key).ok_or(BadKey::Rsa)?;
        Key::rsa(n, e)
    } else {
        Err(BadKey::Kind)
    }
}

/// `SEQUENCE { algorithm SEQUENCE, key BIT STRING }`: what is in the two.
fn split_spki(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (inside, &[]) = element(SEQUENCE, der)? else { return None };
    let (algorithm, rest) = element(SEQUENCE, inside)?;
    let (bits, &[]) = element(BIT_STRING, rest)? else { return None };
    // The first byte says how many bits of the last one do not count.
    Some((algorithm, bits.strip_prefix(&[0])?))
}

/// `RSAPublicKey` of RFC 8017 §A.1.1: `SEQUENCE { modulus INTEGER, publicExponent INTEGER }`.
fn split_rsa(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (inside, &[]) = element(SEQUENCE, der)? else { return None };
    let (n, rest) = element(INTEGER, inside)?;
    let (e, &[]) = element(INTEGER, rest)? else { return None };
    Some((n, e))
}

/// The content of the first element, which has to have this tag, and what stands behind it (X.690 §8.1.3; lengths of two
/// bytes at most: keys are short).
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match *der.strip_prefix(&[tag])? {
        [short @ ..=0x7f, ref rest @ ..] => (usize::from(short), rest),
        [0x81, length @ 0x80..=0xff, ref rest @ ..] => (usize::from(length), rest),
        [0x82, high @ 1..=0xff, low, ref rest @ ..] => (usize::from(u16::from_be_bytes([high, low])), rest),
        _ => return None,
    };
    rest.split_at_checked(length)
}
