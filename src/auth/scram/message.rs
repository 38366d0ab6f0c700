//! Attributes of a SCRAM message: `x=value`, between commas, in a fixed order.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Error, MAX_ITERATIONS, MAX_MESSAGE, MAX_NONCE, Recipe};

/// The text of a message that is not too long.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Error> {
    if bytes.len() > MAX_MESSAGE {
        return Err(Error::MessageTooLong {
            length: bytes.len(),
        });
    }
    // To the server, which reads it as a C string, a zero byte is its end.
    if bytes.contains(&0) {
        return Err(Error::Trailing);
    }
    core::str::from_utf8(bytes).map_err(|_| Error::NotUtf8)
}

/// What is left of a message. No value that is read here may hold a comma.
pub(super) struct Attributes<'a>(core::str::Split<'a, char>);

impl<'a> Attributes<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self(text.split(','))
    }

    /// The value of the next attribute, which must be `name`.
    pub(super) fn take(&mut self, name: char) -> Result<&'a str, Error> {
        let attribute = self.0.next().ok_or(Error::Missing(name))?;
        if attribute.starts_with("m=") {
            return Err(Error::MandatoryExtension);
        }
        attribute
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('='))
            .ok_or(Error::Missing(name))
    }

    /// Nothing may follow: so libpq reads what a server sends.
    pub(super) fn end(mut self) -> Result<(), Error> {
        self.0.next().map_or(Ok(()), |_| Err(Error::Trailing))
    }

    /// Optional extensions may follow, and are ignored: so Postgres reads what a client sends.
    pub(super) fn extensions(mut self) -> Result<(), Error> {
        let well_formed = self.0.all(|extension| {
            extension
                .split_once('=')
                .is_some_and(|(name, _)| name.len() == 1 && name.is_ascii())
        });
        well_formed.then_some(()).ok_or(Error::Trailing)
    }
}

/// The bytes of an attribute in base64.
pub(super) fn decode(name: char, value: &str) -> Result<Vec<u8>, Error> {
    STANDARD.decode(value).map_err(|_| Error::NotBase64(name))
}

/// A salt and an iteration count as they stand in messages and verifiers.
pub(super) fn recipe(salt: &str, iterations: &str) -> Result<Recipe, Error> {
    Recipe::new(decode('s', salt)?, count(iterations)?)
}

/// Digits alone: no sign and no space, unlike `str::parse` and `strtol`.
fn count(digits: &str) -> Result<u32, Error> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Iterations);
    }
    // Billions of billions overflow the number and are refused all the same.
    let count = digits.parse().map_err(|_| Error::Iterations)?;
    check_iterations(count)
}

pub(super) fn check_iterations(count: u32) -> Result<u32, Error> {
    (1..=MAX_ITERATIONS)
        .contains(&count)
        .then_some(count)
        .ok_or(Error::Iterations)
}

/// RFC 5802: `printable = %x21-2B / %x2D-7E`, all but the comma, at least one.
pub(super) fn check_nonce(text: &str) -> Result<&str, Error> {
    if text.len() > MAX_NONCE {
        return Err(Error::NonceTooLong { length: text.len() });
    }
    let printable = |byte| matches!(byte, 0x21..=0x2b | 0x2d..=0x7e);
    if text.is_empty() || !text.bytes().all(printable) {
        return Err(Error::NonceMalformed);
    }
    Ok(text)
}
