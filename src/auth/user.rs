//! One entry of `users`: what its client must know, and what logs in upstream.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{Denied, Method, Password, Secret, Seed, Settings, md5, scram};

/// What is known of a client's password.
#[derive(Debug, Clone)]
pub enum Stored {
    Plain(Secret),
    Scram(scram::Verifier),
    Md5(md5::Verifier),
}

impl Stored {
    /// As a file, a variable or `pg_authid.rolpassword` has it: one of Postgres' two kinds of
    /// verifiers, or the password itself. `None`: it is empty, which is no password.
    ///
    /// # Errors
    /// A SCRAM verifier beyond the limits of [`scram`]. To take it for a password would let in
    /// whoever has seen the verifier.
    pub fn read(text: &Secret) -> Result<Option<Self>, scram::Error> {
        let written = text.expose();
        if written.is_empty() {
            return Ok(None);
        }
        match scram::Verifier::parse(written) {
            Ok(verifier) => return Ok(Some(Self::Scram(verifier))),
            Err(scram::Error::NotAVerifier) => {}
            Err(error) => return Err(error),
        }
        let md5 = md5::Verifier::parse(written).map(Self::Md5);
        Ok(md5.or_else(|| Some(Self::Plain(text.clone()))))
    }
}

/// What is known of a client's password, and what was worked out from it.
#[derive(Debug, Clone)]
pub struct Known {
    stored: Stored,
    /// The plain password's SCRAM verifier: the costly stretch is paid once, for all clones.
    stretched: Arc<OnceLock<scram::Verifier>>,
}

impl Known {
    pub fn new(stored: Stored) -> Self {
        Self {
            stored,
            stretched: Arc::default(),
        }
    }

    pub fn stored(&self) -> &Stored {
        &self.stored
    }

    /// What to ask a client of this name.
    fn question(&self, settings: &Settings, seed: &Seed, name: &str) -> Result<Question, Denied> {
        let weak = settings.method == Method::Md5;
        match &self.stored {
            Stored::Scram(verifier) => Ok(Question::Scram(verifier.clone())),
            Stored::Plain(password) if weak => {
                let verifier = md5::Verifier::of(name.as_bytes(), password);
                Ok(Question::Md5(verifier))
            }
            Stored::Plain(password) => {
                let recipe = || scram::Recipe::made_up(seed, name);
                let stretch = || (&scram::Keys::derive(password, recipe())).into();
                Ok(Question::Scram(self.stretched.get_or_init(stretch).clone()))
            }
            Stored::Md5(verifier) if weak || settings.allow_md5 => {
                Ok(Question::Md5(verifier.clone()))
            }
            Stored::Md5(_) => Err(Denied::Md5NotAllowed),
        }
    }
}

/// One entry of `users`.
#[derive(Debug, Clone, Default)]
pub struct User {
    /// What the client must prove to know.
    password: Option<Password>,
    /// The same, as the auth query has it.
    asked: Option<Known>,
    /// The name upstream; `None`: the client's own.
    pub upstream_user: Option<String>,
    /// What proves it upstream; `None`: see [`User::upstream`].
    pub upstream_password: Option<Password>,
    /// The password that was read last, and what it is.
    read: Arc<Mutex<Option<(Secret, Known)>>>,
}

impl User {
    pub fn new(
        password: Option<Password>,
        upstream_user: Option<String>,
        upstream_password: Option<Password>,
    ) -> Self {
        Self {
            password,
            asked: None,
            upstream_user,
            upstream_password,
            read: Arc::default(),
        }
    }

    /// The same with a password that somebody else knows.
    pub fn with_password(self, known: Known) -> Self {
        Self {
            asked: Some(known),
            ..self
        }
    }

    /// Whether the configuration itself says what the client must know.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// What the client must know.
    ///
    /// # Errors
    /// Nothing is known, or nothing of use.
    pub fn known(&self) -> Result<Known, Denied> {
        if let Some(known) = &self.asked {
            return Ok(known.clone());
        }
        let text = self.password.as_ref().ok_or(Denied::NoPassword)?.now();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((former, known)) = &*read
            && *former == text
        {
            return Ok(known.clone());
        }
        let stored = Stored::read(&text).map_err(Denied::Unfit)?;
        let known = Known::new(stored.ok_or(Denied::NoPassword)?);
        *read = Some((text, known.clone()));
        Ok(known)
    }

    /// What its client logs in with upstream, when its own login `proved` this much: the
    /// configured password, else the client's own, as a text or as what it proved to know.
    pub fn upstream(&self, name: &str, proved: Option<Proof>) -> Credential {
        if let Some(password) = &self.upstream_password {
            return Credential::Password(password.clone());
        }
        let renamed = self.upstream_user.as_deref();
        if renamed.is_some_and(|user| user != name) {
            return Credential::Nothing;
        }
        let known = self.known();
        match (known.as_ref().map(Known::stored), proved) {
            (Ok(Stored::Plain(text)), _) => {
                let kept = self.password.clone().filter(|_| self.asked.is_none());
                Credential::Password(kept.unwrap_or_else(|| text.clone().into()))
            }
            (_, Some(Proof::Keys(keys))) => Credential::Keys(keys),
            (_, Some(Proof::Md5(verifier))) => Credential::Md5(verifier),
            (_, None) => Credential::Nothing,
        }
    }

    /// What to ask a client of this name.
    pub(super) fn question(
        &self,
        settings: &Settings,
        seed: &Seed,
        name: &str,
    ) -> Result<Question, Denied> {
        self.known()?.question(settings, seed, name)
    }
}

/// What a login upstream is proven with.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Credential {
    #[default]
    Nothing,
    Password(Password),
    /// Of the client's own SCRAM exchange.
    Keys(scram::Keys),
    /// The client's md5 verifier.
    Md5(md5::Verifier),
}

/// What a client has shown to know.
#[derive(Debug, Clone)]
pub enum Proof {
    Keys(scram::Keys),
    Md5(md5::Verifier),
}

/// The exchange that a client has to pass.
#[derive(Debug, Clone)]
pub enum Question {
    Scram(scram::Verifier),
    Md5(md5::Verifier),
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a failed test")]
mod tests {
    use super::super::Source;
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn user(password: &str) -> User {
        User::new(Some(secret(password).into()), None, None)
    }

    fn verifier(user: &User) -> scram::Verifier {
        let settings = Settings {
            method: Method::ScramSha256,
            ..Settings::default()
        };
        match user.question(&settings, &[7; 32], "app") {
            Ok(Question::Scram(verifier)) => verifier,
            other => panic!("{other:?}"),
        }
    }

    fn password(credential: &Credential) -> String {
        match credential {
            Credential::Password(password) => password.now().expose().to_owned(),
            Credential::Nothing | Credential::Keys(_) | Credential::Md5(_) => "none".to_owned(),
        }
    }

    /// A file that is written anew.
    #[derive(Debug)]
    struct Paper(Mutex<Secret>);

    impl Source for Paper {
        fn current(&self) -> Secret {
            self.0.lock().unwrap().clone()
        }
    }

    #[test]
    fn a_password_goes_upstream_only_under_its_own_name() {
        let mut user = user("secret");
        assert_eq!(password(&user.upstream("app", None)), "secret");
        user.upstream_user = Some("app".to_owned());
        assert_eq!(password(&user.upstream("app", None)), "secret");
        user.upstream_user = Some("other".to_owned());
        assert_eq!(password(&user.upstream("app", None)), "none");
        user.upstream_password = Some(secret("theirs").into());
        assert_eq!(password(&user.upstream("app", None)), "theirs");
    }

    #[test]
    fn a_password_is_stretched_once_however_many_clients_log_in() {
        let user = user("secret");
        let first = user.known().unwrap();
        verifier(&user);
        for _ in 0..3 {
            let again = user.clone().known().unwrap();
            assert!(Arc::ptr_eq(&first.stretched, &again.stretched));
        }
        assert!(first.stretched.get().is_some());
    }

    #[test]
    fn a_password_that_changes_where_it_is_kept_counts_from_the_next_login_on() {
        let paper = Arc::new(Paper(Mutex::new(secret("one"))));
        let user = User::new(Some(Password::Kept(Arc::clone(&paper) as _)), None, None);
        let (former, upstream) = (verifier(&user), user.upstream("app", None));
        assert_eq!(*former.to_text(), *verifier(&user).to_text());
        *paper.0.lock().unwrap() = secret("two");
        assert_ne!(*former.to_text(), *verifier(&user).to_text());
        // A connection that is dialled later needs the password of then.
        assert_eq!(password(&upstream), "two");
    }

    #[test]
    fn a_verifier_beyond_the_limits_is_no_password() {
        let costly = "SCRAM-SHA-256$999999999:c2FsdA==$AAAA:AAAA";
        assert!(matches!(user(costly).known(), Err(Denied::Unfit(_))));
        assert_eq!(user("").known().unwrap_err(), Denied::NoPassword);
        assert!(matches!(
            user("SCRAM-SHA-256$").known().unwrap().stored(),
            Stored::Plain(_)
        ));
    }

    #[test]
    fn no_secret_is_ever_shown() {
        let user = User::new(
            Some(secret("s3cret").into()),
            None,
            Some(Password::Kept(Arc::new(Paper(Mutex::new(secret(
                "s3cret",
            )))))),
        );
        verifier(&user);
        let proved = Proof::Md5(md5::Verifier::of(b"app", &secret("s3cret")));
        let digits = md5::Verifier::of(b"app", &secret("s3cret")).answer([0; 4]);
        for shown in [
            format!("{user:?}"),
            format!("{:?}", user.known()),
            format!("{:?}", user.upstream("app", Some(proved.clone()))),
            format!("{proved:?}"),
            format!("{:?}", verifier(&user)),
        ] {
            assert!(!shown.contains("s3cret"), "{shown}");
            assert!(!shown.contains(digits.as_str()), "{shown}");
        }
    }
}
