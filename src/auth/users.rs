//! Who may log in, how they prove it, and as whom they go upstream.

use std::collections::BTreeMap;

use super::{Credential, Question, User, md5, scram};

/// The weakest exchange that is allowed downstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// None at all: loopback and Unix sockets only.
    #[default]
    Trust,
    ScramSha256,
    /// A SCRAM verifier makes it a SCRAM exchange all the same, as in pg_hba.conf.
    Md5,
    /// The certificate that it showed when its connection was encrypted.
    Cert,
}

/// Where to ask for verifiers that the file does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// With `$1` for the user's name; gives name and verifier.
    pub text: String,
    /// An entry of `users`.
    pub user: String,
    /// `None`: the database's own.
    pub database: Option<String>,
}

/// Why a client is not let in; the log is told, the client is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("there is no such user")]
    NoSuchUser,
    #[error("its password is not known (password, or auth.query)")]
    NoPassword,
    #[error("its password is an md5 verifier, and auth.allow_md5 is off")]
    Md5NotAllowed,
    #[error("the database is not configured")]
    NoSuchDatabase,
    #[error("its certificate names somebody else (common name and alternative names)")]
    OtherCertificate,
    #[error("its verifier is of no use: {0}")]
    Unfit(scram::Error),
}

/// Who may log in to one database.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub method: Method,
    /// Under SCRAM, lets users in whose password is an md5 verifier.
    pub allow_md5: bool,
    pub users: BTreeMap<String, User>,
    /// `users."*"`: everyone without an entry.
    pub everyone: Option<User>,
    pub query: Option<Query>,
}

/// What the configuration has for a name.
#[derive(Debug, Clone)]
pub enum Found {
    User(User),
    /// The auth query has the last word: its row makes the verifier of this entry. Without a
    /// row it is `users."*"`, or nobody.
    Ask(User),
    Nobody,
}

/// What makes up salts and the verifiers of users who do not exist: the same for one name as long
/// as the process lives, and foretold by nobody.
pub type Seed = [u8; 32];

impl Settings {
    /// The entry under which `name` logs in.
    ///
    /// With no entry and no query at all, everyone is let in under the own name by trust, and by
    /// a certificate that proves it.
    pub fn find(&self, name: &str) -> Found {
        let asks = self.method.asks();
        match (self.users.get(name), &self.query) {
            (Some(user), Some(_)) if asks && !user.has_password() => Found::Ask(user.clone()),
            (Some(user), _) => Found::User(user.clone()),
            (None, Some(_)) => Found::Ask(User::default()),
            (None, None) => self.anybody(),
        }
    }

    /// The entry of a name that has none of its own.
    pub fn anybody(&self) -> Found {
        let open = !self.method.asks() && self.users.is_empty() && self.query.is_none();
        match &self.everyone {
            Some(user) => Found::User(user.clone()),
            None if open => Found::User(User::default()),
            None => Found::Nobody,
        }
    }

    /// What to ask a client of this name, and whether there is an answer that lets it in: who may
    /// not come in is asked all the same. `None`: nothing is asked.
    pub fn question(
        &self,
        seed: &Seed,
        name: &str,
        user: Result<&User, Denied>,
    ) -> (Option<Question>, Result<(), Denied>) {
        let asked = match user {
            _ if !self.method.asks() => return (None, user.map(|_| ())),
            Ok(user) => user.question(self, seed, name),
            Err(denied) => Err(denied),
        };
        match asked {
            Ok(question) => (Some(question), Ok(())),
            Err(denied) => (Some(self.method.mock(seed, name)), Err(denied)),
        }
    }

    /// What somebody logs in with as `user` upstream, whoever it is here.
    pub fn upstream(&self, user: &[u8]) -> Credential {
        let Ok(name) = str::from_utf8(user) else {
            return Credential::Nothing;
        };
        if let Found::User(entry) | Found::Ask(entry) = self.find(name)
            && entry.upstream_user.is_none()
        {
            return entry.upstream(name, None);
        }
        let mut entries = self.users.values().chain(&self.everyone);
        let goes_as = entries.find(|one| one.upstream_user.as_deref() == Some(name));
        goes_as.map_or(Credential::Nothing, |entry| entry.upstream(name, None))
    }
}

impl Method {
    /// Whether a client is asked for a password.
    pub fn asks(self) -> bool {
        match self {
            Self::ScramSha256 | Self::Md5 => true,
            Self::Trust | Self::Cert => false,
        }
    }

    /// What somebody is asked whom no answer lets in.
    pub fn mock(self, seed: &Seed, name: &str) -> Question {
        match self {
            Self::Md5 => Question::Md5(md5::Verifier::mock(seed, name)),
            Self::Trust | Self::ScramSha256 | Self::Cert => {
                Question::Scram(scram::Verifier::mock(seed, name))
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::panic, reason = "a failed test")]
mod tests {
    use super::super::Secret;
    use super::*;

    fn user(upstream: Option<&str>, password: &str) -> User {
        let password = Secret::new(password.to_owned());
        User::new(None, upstream.map(str::to_owned), Some(password.into()))
    }

    fn with_password(password: &str) -> User {
        User::new(Some(Secret::new(password.to_owned()).into()), None, None)
    }

    fn settings(method: Method, users: &[(&str, User)]) -> Settings {
        let users = users
            .iter()
            .map(|(name, user)| ((*name).to_owned(), user.clone()));
        Settings {
            method,
            users: users.collect(),
            ..Settings::default()
        }
    }

    fn password(credential: &Credential) -> String {
        match credential {
            Credential::Password(password) => password.now().expose().to_owned(),
            Credential::Nothing | Credential::Keys(_) | Credential::Md5(_) => "none".to_owned(),
        }
    }

    #[test]
    fn the_login_of_an_upstream_user_is_found_whether_renamed_or_not() {
        let settings = settings(
            Method::Trust,
            &[
                ("app", user(None, "own")),
                ("web", user(Some("shared"), "renamed")),
            ],
        );
        let of = |name: &[u8]| password(&settings.upstream(name));
        assert_eq!(of(b"app"), "own");
        assert_eq!(of(b"shared"), "renamed");
        assert_eq!(of(b"web"), "none");
    }

    #[test]
    fn the_exchange_is_the_strongest_that_the_password_allows_and_never_weaker_than_the_method() {
        let md5 = "md5d41d8cd98f00b204e9800998ecf8427e";
        let plain = with_password("secret");
        let asked = |method, allow_md5, user: &User| {
            let mut settings = settings(method, &[]);
            settings.allow_md5 = allow_md5;
            match settings.question(&[7; 32], "app", Ok(user)) {
                (Some(Question::Scram(_)), Ok(())) => "scram",
                (Some(Question::Md5(_)), Ok(())) => "md5",
                (Some(_), Err(_)) => "denied",
                (None, _) => "nothing",
            }
        };
        assert_eq!(asked(Method::ScramSha256, false, &plain), "scram");
        assert_eq!(
            asked(Method::ScramSha256, false, &with_password(md5)),
            "denied"
        );
        assert_eq!(asked(Method::ScramSha256, true, &with_password(md5)), "md5");
        assert_eq!(asked(Method::Md5, false, &plain), "md5");
        assert_eq!(asked(Method::Md5, false, &with_password(md5)), "md5");
        assert_eq!(asked(Method::Trust, false, &plain), "nothing");
        assert_eq!(asked(Method::Cert, false, &plain), "nothing");
        assert_eq!(
            asked(Method::ScramSha256, false, &User::default()),
            "denied"
        );
    }

    #[test]
    fn who_does_not_exist_is_asked_what_others_are_asked_and_always_the_same() {
        let settings = settings(Method::ScramSha256, &[]);
        let ask = || settings.question(&[7; 32], "nobody", Err(Denied::NoSuchUser));
        let recipe = || match ask() {
            (Some(Question::Scram(verifier)), Err(Denied::NoSuchUser)) => verifier.recipe().clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(recipe(), recipe());
        assert_eq!(recipe().iterations(), scram::DEFAULT_ITERATIONS);
    }
}
