//! Proves to a backend who logs in.

use std::{cell::RefCell, rc::Rc};

use tokio::sync::Mutex;

use super::{ChannelBinding, ConnectError, Demand, Settings, wire::Wire, wire::kind};
use crate::auth::{
    Credential, Secret, md5,
    scram::{self, Binding},
};
use crate::net::tls::{self, Tls};
use crate::protocol::{
    backend::{self, Challenge, Kind},
    frame,
};

/// A stretch of PBKDF2 longer than this leaves the worker's thread.
const INLINE_ITERATIONS: u32 = 20_000;

/// Whom to log in as.
#[derive(Debug)]
pub struct Login {
    pub user: Vec<u8>,
    pub database: Vec<u8>,
    /// What proves it.
    credential: RefCell<Credential>,
    /// What a password became last: the costly stretch is paid once.
    keys: RefCell<Option<(Secret, scram::Keys)>>,
    /// Held while a password is stretched: who waits finds the keys.
    stretching: Mutex<()>,
}

/// Knows what the backend will say if it knows the password; what to send.
type Answer = (scram::AwaitServerFinal, Vec<u8>);

impl Login {
    pub fn new(user: Vec<u8>, database: Vec<u8>, credential: Credential) -> Self {
        Self {
            user,
            database,
            credential: credential.into(),
            keys: RefCell::default(),
            stretching: Mutex::default(),
        }
    }

    /// A client has proven to know something newer; nothing takes nothing away. Gives whether it
    /// differs from what was known.
    pub fn learn(&self, credential: Credential) -> bool {
        let mut known = self.credential.borrow_mut();
        let news = credential != Credential::Nothing && *known != credential;
        if news {
            *known = credential;
        }
        news
    }

    fn md5(&self) -> Option<md5::Verifier> {
        match &*self.credential.borrow() {
            Credential::Password(password) => Some(md5::Verifier::of(&self.user, &password.now())),
            Credential::Md5(verifier) => Some(verifier.clone()),
            Credential::Keys(_) | Credential::Nothing => None,
        }
    }

    fn password(&self) -> Option<Secret> {
        match &*self.credential.borrow() {
            Credential::Password(password) => Some(password.now()),
            Credential::Keys(_) | Credential::Md5(_) | Credential::Nothing => None,
        }
    }

    fn scram(&self) -> Option<scram::Credential> {
        match &*self.credential.borrow() {
            Credential::Password(password) => Some(scram::Credential::Password(password.now())),
            Credential::Keys(keys) => Some(scram::Credential::Keys(keys.clone())),
            Credential::Md5(_) | Credential::Nothing => None,
        }
    }

    async fn answer(&self, asked: scram::Challenge) -> Result<Answer, ConnectError> {
        let turn = self.stretching.lock().await;
        let asked = self.reminded(asked);
        let password = asked.password().cloned();
        let answer = if asked.work() > INLINE_ITERATIONS {
            let answer = tokio::task::spawn_blocking(move || asked.answer()).await;
            answer.map_err(|error| ConnectError::Lost(error.into()))?
        } else {
            asked.answer()
        };
        let answer = answer.map_err(ConnectError::Scram)?;
        if let Some(password) = password {
            self.keys.replace(Some((password, answer.0.keys().clone())));
        }
        drop(turn);
        Ok(answer)
    }

    /// With the keys that are at hand, if they are this password's.
    fn reminded(&self, asked: scram::Challenge) -> scram::Challenge {
        match &*self.keys.borrow() {
            Some((password, keys)) if asked.password() == Some(password) => {
                asked.remembering(keys.clone())
            }
            Some(_) | None => asked,
        }
    }
}

/// Answers what the backend asks, from its `first` message to AuthenticationOk.
pub(super) async fn authenticate(
    wire: &mut Wire,
    login: &Rc<Login>,
    settings: &Settings,
    first: Vec<u8>,
) -> Result<(), ConnectError> {
    let check = |demand| match settings.require_auth.allows(demand) {
        true => Ok(()),
        false => Err(ConnectError::NotAllowed(demand)),
    };
    let first = challenge(&first)?;
    let bindable = matches!(first, Challenge::Sasl { .. });
    if settings.channel_binding == ChannelBinding::Require && !bindable {
        return Err(ConnectError::Unbound);
    }
    match first {
        Challenge::Ok => return check(Demand::Nothing),
        Challenge::Md5 { salt } => {
            check(Demand::Md5)?;
            let verifier = login.md5().ok_or(ConnectError::NoPassword)?;
            let answer = verifier.answer(salt);
            wire.password(|out| frame::put_cstr(out, answer.as_bytes()))
                .await?;
        }
        Challenge::Sasl { mechanisms } => {
            check(Demand::ScramSha256)?;
            scram_exchange(wire, login, settings.channel_binding, mechanisms).await?;
        }
        Challenge::Cleartext => {
            // Not even by its user's leave to somebody of whom nobody knows who he is.
            let encryption = settings.tls.as_ref();
            let verifies = encryption.is_some_and(|tls| tls.mode().verifies());
            let hidden = verifies && wire.link.tls().is_some();
            if !hidden || !settings.require_auth.allows(Demand::Password) {
                return Err(ConnectError::Cleartext);
            }
            let password = login.password().ok_or(ConnectError::NoPassword)?;
            wire.password(|out| frame::put_cstr(out, password.expose().as_bytes()))
                .await?;
        }
        Challenge::Other(code) => return Err(ConnectError::Unsupported(code)),
        Challenge::SaslContinue { .. } | Challenge::SaslFinal { .. } => {
            return Err(ConnectError::Protocol);
        }
    }
    // It has had its answer: to ask once more would be to ask for less.
    let last = wire.next().await?;
    let proven = challenge(&last)? == Challenge::Ok;
    proven.then_some(()).ok_or(ConnectError::Protocol)
}

async fn scram_exchange(
    wire: &mut Wire,
    login: &Rc<Login>,
    wish: ChannelBinding,
    mechanisms: &[u8],
) -> Result<(), ConnectError> {
    let offered = |name: &str| {
        mechanisms
            .split(|&byte| byte == 0)
            .any(|one| one == name.as_bytes())
    };
    let binding = match wish {
        ChannelBinding::Disable => Binding::Unsupported,
        ChannelBinding::Prefer | ChannelBinding::Require => {
            binding(wire, offered(scram::MECHANISM_PLUS))
        }
    };
    let is_bound = matches!(binding, Binding::ServerEndPoint(_));
    if wish == ChannelBinding::Require && !is_bound {
        return Err(ConnectError::Unbound);
    }
    let mechanism = binding.mechanism();
    if !offered(mechanism) {
        return Err(ConnectError::NoMechanism);
    }
    let credential = login.scram().ok_or(ConnectError::NoPassword)?;
    let mut random = [0; 18];
    getrandom::fill(&mut random).map_err(|error| ConnectError::Dial(error.into()))?;
    let nonce = scram::Nonce::from_random(random);
    let (state, first) = scram::Client::new(credential, nonce).bound(binding).first();
    wire.password(|out| {
        frame::put_cstr(out, mechanism.as_bytes());
        let length = i32::try_from(first.len()).unwrap_or(i32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&first);
    })
    .await?;

    let frame = wire.next().await?;
    let Challenge::SaslContinue { data } = challenge(&frame)? else {
        return Err(ConnectError::Protocol);
    };
    let asked = state.challenge(data).map_err(ConnectError::Scram)?;
    let (state, last) = login.answer(asked).await?;
    wire.password(|out| out.extend_from_slice(&last)).await?;

    let frame = wire.next().await?;
    let data = match challenge(&frame)? {
        Challenge::SaslFinal { data } => data,
        Challenge::Ok => return Err(ConnectError::Unproven),
        Challenge::Cleartext
        | Challenge::Md5 { .. }
        | Challenge::Sasl { .. }
        | Challenge::SaslContinue { .. }
        | Challenge::Other(_) => return Err(ConnectError::Protocol),
    };
    state.server_final(data).map_err(ConnectError::Scram)?;
    Ok(())
}

/// Ties the login to the certificate that the server has shown, where there is one that can be
/// hashed. Where it could be done and is not offered, that is said: a server that did offer it
/// learns that somebody removed the offer.
fn binding(wire: &Wire, offered: bool) -> Binding {
    let certificates = wire.link.tls().map(Tls::certificates);
    let own = certificates.and_then(|certificates| certificates.first());
    match own.and_then(|own| tls::end_point(own)) {
        Some(hash) if offered => Binding::ServerEndPoint(hash),
        Some(_) => Binding::Unoffered,
        None => Binding::Unsupported,
    }
}

fn challenge(frame: &[u8]) -> Result<Challenge<'_>, ConnectError> {
    if kind(frame) != Kind::Authentication {
        return Err(ConnectError::Protocol);
    }
    backend::challenge(backend::body(frame)).ok_or(ConnectError::Protocol)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn login(password: &str) -> Login {
        let password = Credential::Password(secret(password).into());
        Login::new(b"app".to_vec(), b"app".to_vec(), password)
    }

    /// What a backend asks with this salt, in base64.
    fn asked(login: &Login, salt: &str) -> scram::Challenge {
        let nonce = scram::Nonce::parse("ours").unwrap();
        let (state, _) = scram::Client::new(login.scram().unwrap(), nonce).first();
        let first = format!("r=oursandtheirs,s={salt},i=4096");
        state.challenge(first.as_bytes()).unwrap()
    }

    #[tokio::test]
    async fn a_password_is_stretched_once_for_all_dials_those_under_way_too() {
        let login = login("secret");
        let (first, second) = (asked(&login, "c2FsdA=="), asked(&login, "c2FsdA=="));
        assert_eq!(login.reminded(first.clone()).work(), 4096);
        login.answer(first).await.unwrap();
        assert_eq!(login.reminded(second).work(), 0);
        assert_eq!(login.reminded(asked(&login, "c2FsdA==")).work(), 0);
        // Another verifier, of the same password perhaps.
        assert_eq!(login.reminded(asked(&login, "cGVwcGVy")).work(), 4096);
    }

    #[tokio::test]
    async fn the_keys_of_a_former_password_are_not_taken_for_those_of_a_new_one() {
        let login = login("secret");
        login.answer(asked(&login, "c2FsdA==")).await.unwrap();
        login.learn(Credential::Password(secret("new").into()));
        assert_eq!(login.reminded(asked(&login, "c2FsdA==")).work(), 4096);
    }
}
