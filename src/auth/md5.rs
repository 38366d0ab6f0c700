//! The answer to AuthenticationMD5Password.

use postgres_protocol::authentication::md5_hash;
use zeroize::Zeroizing;

use super::Secret;

/// What a PasswordMessage carries, without its closing zero byte:
/// `md5` and the hex digits of `md5(hex(md5(password ‖ user)) ‖ salt)`.
///
/// Whoever reads it on the wire can try passwords against it at leisure, and a server that asks
/// for md5 may be an impostor that hopes for this: whether to answer is the configuration's word.
pub fn answer(user: &str, password: &Secret, salt: [u8; 4]) -> Zeroizing<String> {
    Zeroizing::new(md5_hash(
        user.as_bytes(),
        password.expose().as_bytes(),
        salt,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_one_that_postgres_computes() {
        let password = Secret::new("password".to_owned());
        let answer = answer("md5_user", &password, [0x2a, 0x3d, 0x8f, 0xe0]);
        assert_eq!(*answer, "md562af4dd09bbb41884907a838a3233294");
    }
}
