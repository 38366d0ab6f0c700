//! Postgres' md5 passwords: `md5(hex(md5(password ‖ user)) ‖ salt)`
//! (PostgreSQL docs, "Message Flow", AuthenticationMD5Password).
//!
//! Whoever reads an answer on the wire can try passwords against it at leisure, and a server that
//! asks for md5 may be an impostor that hopes for this: whether to ask or to answer is the
//! configuration's word.

use core::fmt;

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::Secret;

/// What Postgres keeps of an md5 password: `md5` and the hex digits of `md5(password ‖ user)`.
/// As good as the password itself for a login by md5: `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier(Zeroizing<String>);

impl Verifier {
    /// As `pg_authid.rolpassword` has it; `None`: it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("md5")?;
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let whole = digits.len() == 32 && digits.bytes().all(is_digit);
        whole.then(|| Self(Zeroizing::new(digits.to_owned())))
    }

    /// That of a password; the user's name is its salt.
    pub fn of(user: &[u8], password: &Secret) -> Self {
        Self(hex(&[password.expose().as_bytes(), user]))
    }

    /// The verifier of a user who does not exist; see [`super::Seed`].
    pub fn mock(seed: &[u8; 32], user: &str) -> Self {
        Self(hex(&[seed, user.as_bytes()]))
    }

    /// What a PasswordMessage carries, without its closing zero byte.
    pub fn answer(&self, salt: [u8; 4]) -> Zeroizing<String> {
        let digits = hex(&[self.0.as_bytes(), &salt]);
        Zeroizing::new(format!("md5{}", *digits))
    }

    /// Whether `said` is the answer to `salt`. In constant time.
    pub fn fits(&self, said: &[u8], salt: [u8; 4]) -> bool {
        let right = self.answer(salt);
        let differing = |sum: u8, (left, right): (&u8, &u8)| sum | (left ^ right);
        let pairs = said.iter().zip(right.as_bytes());
        said.len() == right.len() && core::hint::black_box(pairs.fold(0, differing)) == 0
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}

/// The hex digits of the digest of all parts together.
fn hex(parts: &[&[u8]]) -> Zeroizing<String> {
    let mut digest = Md5::new();
    parts.iter().for_each(|part| digest.update(part));
    let bytes = Zeroizing::new(<[u8; 16]>::from(digest.finalize()));
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    Zeroizing::new(digits.map(digit).collect())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    const SALT: [u8; 4] = [0x2a, 0x3d, 0x8f, 0xe0];

    fn verifier() -> Verifier {
        Verifier::of(b"md5_user", &Secret::new("password".to_owned()))
    }

    #[test]
    fn the_answer_is_the_one_that_postgres_computes() {
        assert_eq!(
            *verifier().answer(SALT),
            "md562af4dd09bbb41884907a838a3233294"
        );
    }

    #[test]
    fn what_postgres_stores_is_as_good_as_the_password() {
        // select 'md5' || md5('password' || 'md5_user')
        let stored = format!("md5{}", *verifier().0);
        assert_eq!(Verifier::parse(&stored).unwrap(), verifier());
        assert_eq!(Verifier::parse("md5"), None);
        assert_eq!(Verifier::parse(&stored.to_uppercase()), None);
        assert_eq!(Verifier::parse(&format!("{stored}0")), None);
    }

    #[test]
    fn only_the_whole_answer_to_this_salt_fits() {
        let right = verifier().answer(SALT);
        assert!(verifier().fits(right.as_bytes(), SALT));
        assert!(!verifier().fits(right.as_bytes(), [0; 4]));
        assert!(!verifier().fits(right.split_at(34).0.as_bytes(), SALT));
        assert!(!verifier().fits(b"", SALT));
    }
}
