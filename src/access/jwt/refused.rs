//! Why a token is no good. For the log of the gateway: whoever sent it is told only that it is refused.

/// Longest token in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Longer than [`TOKEN_BYTES_MAX`].
    #[error("a token has at most {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// Not three parts of base64url without padding, or not JSON objects with every member once.
    #[error("this is no signed JSON Web Token")]
    Malformed,
    /// A `typ` of something that is no access token.
    #[error("its `typ` is neither `JWT` nor `at+jwt`")]
    Type,
    /// Another algorithm, `none` among them.
    #[error("its `alg` is none of HS256, RS256 and ES256")]
    Algorithm,
    /// It asks for an extension to be understood (RFC 7515 §4.1.11), and there is none here.
    #[error("its header names extensions as critical")]
    Critical,
    /// It brings the key to check it with, or says where that key is.
    #[error("it tells by itself which key to trust (`jwk`, `jku`, `x5u`)")]
    OwnKey,
    /// No key of its `kid` for its `alg`: of another issuer, or newer than the keys that are known.
    #[error("no key is known that could have signed it")]
    UnknownKey,
    /// The signature is not that of the key.
    #[error("its signature is wrong")]
    Signature,
    /// A claim is missing, or is not what it has to be.
    #[error("its claim `{0}` is missing or not of the right kind")]
    Claim(&'static str),
    /// Another issuer.
    #[error("its issuer is another")]
    Issuer,
    /// For somebody else.
    #[error("it is meant for another audience")]
    Audience,
    /// Too old.
    #[error("it has expired")]
    Expired,
    /// Not valid yet.
    #[error("it is valid only later: its `nbf` or `iat` lies in the future")]
    NotYet,
    /// It claims permissions that cannot be understood, so none of them counts.
    #[error("its permissions cannot be read: {0}")]
    Permissions(String),
}
