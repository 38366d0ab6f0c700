//! Who a client is, proven: SCRAM-SHA-256 or md5, as Postgres asks for them
//! (PostgreSQL docs, "Message Flow" and "SASL Authentication").

use std::{future::poll_fn, io};

use zeroize::Zeroizing;

use crate::auth::{Proof, Question, md5, scram};
use crate::net::Link;
use crate::protocol::{
    SqlState,
    backend::{put_md5_request, put_sasl, put_sasl_continue, put_sasl_final},
    frame::{self, HEADER},
    frontend::{self, Kind, Malformed},
};

/// The longest answer to a question (`PG_MAX_AUTH_TOKEN_LENGTH`).
const LONGEST: usize = 65_535;

/// Why a client is not who it says, or cannot say it; in the server's words, where there are.
#[derive(Debug, thiserror::Error)]
pub enum Unproven {
    #[error("the password is wrong")]
    Wrong,
    #[error("empty password returned by client")]
    Empty,
    #[error("client selected an invalid SASL authentication mechanism")]
    Mechanism,
    #[error("invalid password packet size")]
    PasswordSize,
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("expected {expected} response, got message type {tag}")]
    Unexpected { expected: &'static str, tag: u8 },
    #[error("{}", in_the_servers_words(.0))]
    Scram(#[source] scram::Error),
    /// It does not follow the protocol, in a way that the server takes for a wrong answer.
    #[error("the answer is malformed or longer than {LONGEST} bytes")]
    Length,
    #[error("the client's connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the client left when it was asked for a password")]
    Left,
}

impl Unproven {
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::Wrong | Self::Empty | Self::Length => SqlState::INVALID_PASSWORD,
            Self::Scram(error) if UNSUPPORTED.contains(error) => SqlState::FEATURE_NOT_SUPPORTED,
            Self::Scram(scram::Error::BindingRemoved | scram::Error::BindingWrong) => {
                SqlState::INVALID_AUTHORIZATION
            }
            Self::Mechanism
            | Self::PasswordSize
            | Self::Malformed(_)
            | Self::Unexpected { .. }
            | Self::Scram(_) => SqlState::PROTOCOL_VIOLATION,
            Self::Broken(_) | Self::Left => SqlState::CONNECTION_FAILURE,
        }
    }
}

/// What SCRAM has and Postgres does not.
const UNSUPPORTED: [scram::Error; 2] = [
    scram::Error::AuthorizationIdentity,
    scram::Error::MandatoryExtension,
];

/// What `auth-scram.c` says of it; all else is "malformed SCRAM message" there.
const WORDS: [(scram::Error, &str); 8] = [
    (
        scram::Error::AuthorizationIdentity,
        "client uses authorization identity, but it is not supported",
    ),
    (
        scram::Error::MandatoryExtension,
        "client requires an unsupported SCRAM extension",
    ),
    (
        scram::Error::NonceMalformed,
        "non-printable characters in SCRAM nonce",
    ),
    (
        scram::Error::BindingDiffers,
        "unexpected SCRAM channel-binding attribute in client-final-message",
    ),
    (scram::Error::NonceForeign, "invalid SCRAM response"),
    (
        scram::Error::BindingRemoved,
        "SCRAM channel binding negotiation error",
    ),
    (
        scram::Error::BindingUnknown,
        "unsupported SCRAM channel-binding type",
    ),
    (
        scram::Error::BindingWrong,
        "SCRAM channel binding check failed",
    ),
];

fn in_the_servers_words(error: &scram::Error) -> &'static str {
    let words = WORDS.iter().find(|(one, _)| one == error);
    words.map_or("malformed SCRAM message", |(_, words)| words)
}

/// What only the system can give: never the same twice.
#[derive(Debug, Clone, Copy)]
pub struct Random {
    pub nonce: [u8; 18],
    pub salt: [u8; 4],
}

/// Asks, and reads the answer. `ahead` is what the client has sent already, and what it sends
/// behind its answer; `preface` is said before the question, and what is to be said next is in it
/// afterwards, short of AuthenticationOk. `end_point`: what SCRAM can be bound to.
///
/// # Errors
/// See [`Unproven`]. Cancel safe in that a dropped call loses the connection and nothing else.
pub async fn authenticate(
    link: &mut Link,
    ahead: &mut Vec<u8>,
    preface: &mut Vec<u8>,
    question: Question,
    random: Random,
    end_point: Option<Vec<u8>>,
) -> Result<Proof, Unproven> {
    let mut door = Door { link, ahead };
    match question {
        Question::Scram(verifier) => {
            let nonce = scram::Nonce::from_random(random.nonce);
            let server = scram::Server::new(verifier, nonce).offering(end_point);
            door.scram(preface, server).await.map(Proof::Keys)
        }
        Question::Md5(verifier) => door.md5(preface, verifier, random.salt).await,
    }
}

struct Door<'a> {
    link: &'a mut Link,
    ahead: &'a mut Vec<u8>,
}

impl Door<'_> {
    async fn scram(
        &mut self,
        said: &mut Vec<u8>,
        server: scram::Server,
    ) -> Result<scram::Keys, Unproven> {
        put_sasl(said, server.mechanisms());
        self.say(said).await?;
        let answer = self.answer("SASL").await?;
        let (mechanism, rest) = frontend::sasl_mechanism(&answer)?;
        let server = server.chosen(mechanism).ok_or(Unproven::Mechanism)?;
        let first = match frontend::sasl_data(rest)? {
            Some(first) => Zeroizing::new(first.to_owned()),
            // It waits to be asked once more.
            None => {
                put_sasl_continue(said, b"");
                self.say(said).await?;
                self.answer("SASL").await?
            }
        };
        let (state, challenge) = server.client_first(&first).map_err(Unproven::Scram)?;
        put_sasl_continue(said, &challenge);
        self.say(said).await?;
        let last = self.answer("SASL").await?;
        let wrong = |error| match error == scram::Error::WrongProof {
            true => Unproven::Wrong,
            false => Unproven::Scram(error),
        };
        let (keys, last) = state.client_final(&last).map_err(wrong)?;
        put_sasl_final(said, &last);
        Ok(keys)
    }

    async fn md5(
        &mut self,
        said: &mut Vec<u8>,
        verifier: md5::Verifier,
        salt: [u8; 4],
    ) -> Result<Proof, Unproven> {
        put_md5_request(said, salt);
        self.say(said).await?;
        let answer = match self.answer("password").await {
            // Here the server leaves without a word.
            Err(Unproven::Length) => Err(Unproven::Left),
            answer => answer,
        }?;
        let password = answer
            .strip_suffix(b"\0")
            .filter(|text| !text.contains(&0))
            .ok_or(Unproven::PasswordSize)?;
        if password.is_empty() {
            return Err(Unproven::Empty);
        }
        if !verifier.fits(password, salt) {
            return Err(Unproven::Wrong);
        }
        Ok(Proof::Md5(verifier))
    }

    /// Sends what is to be said. From then on it is the link's: who is interrupted says it once.
    async fn say(&mut self, said: &mut Vec<u8>) -> io::Result<()> {
        poll_fn(|cx| {
            if !said.is_empty() {
                self.link.send(cx, &std::mem::take(said))?;
            }
            self.link.poll_flush(cx)
        })
        .await
    }

    /// The body of the next password message.
    async fn answer(&mut self, expected: &'static str) -> Result<Zeroizing<Vec<u8>>, Unproven> {
        loop {
            if let Some(&tag) = self.ahead.first()
                && Kind::of(tag) != Kind::Authentication
            {
                return Err(Unproven::Unexpected { expected, tag });
            }
            if let Some(header) = frame::peek(self.ahead).map_err(|_| Unproven::Length)? {
                if header.len > HEADER + LONGEST {
                    return Err(Unproven::Length);
                }
                if header.len <= self.ahead.len() {
                    let rest = self.ahead.split_off(header.len);
                    let frame = Zeroizing::new(std::mem::replace(self.ahead, rest));
                    let body = frame.get(HEADER..).unwrap_or_default();
                    return Ok(Zeroizing::new(body.to_owned()));
                }
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), Unproven> {
        let mut chunk = Zeroizing::new([0; 2048]);
        let read = poll_fn(|cx| self.link.poll_read(cx, &mut *chunk)).await?;
        if read == 0 {
            // As psql does, to ask its user for the password.
            return Err(Unproven::Left);
        }
        let read = chunk.get(..read).unwrap_or_default();
        self.ahead.extend_from_slice(read);
        Ok(())
    }
}
