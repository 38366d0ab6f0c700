//! Which version of the protocol to speak with a backend.
//!
//! A backend is asked for the newest version that we know: its cancel keys are longer. Servers
//! answer with the version that they speak, in the same round trip. Some proxies refuse such a
//! start-up, or close without a word; they are asked for 3.0 then, and ever after.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    ConnectError, Login, Opening, Target,
    secure::{prefers, reach, reach_plainly, seen},
    wire::{Wire, kind},
};
use crate::net::{Link, Stream};
use crate::protocol::{
    SqlState,
    backend::{self, Kind},
    startup,
};
use crate::telemetry::events;

/// Whether a backend takes start-ups that ask for more than protocol 3.0; shared by all who dial
/// it.
#[derive(Debug, Default)]
pub struct Dialect {
    old: AtomicBool,
}

/// What a backend makes of a start-up.
enum Answer {
    /// It goes on, with this message first.
    Goes(Wire, Vec<u8>),
    /// Perhaps for its version.
    Refused(ConnectError),
}

/// Dials, sends the start-up and reads the first message that answers it.
pub(super) async fn knock(
    target: &Target,
    login: &Login,
    opening: Opening<'_>,
) -> Result<(Wire, Vec<u8>), ConnectError> {
    let mut refusal = None;
    if !target.dialect.old.load(Ordering::Relaxed) {
        match ask(target, login, opening, startup::NEWEST_MINOR).await? {
            Answer::Goes(wire, frame) => return Ok((wire, frame)),
            Answer::Refused(error) => refusal = Some(error),
        }
    }
    match ask(target, login, opening, 0).await? {
        Answer::Goes(wire, frame) => {
            if let Some(refusal) = refusal {
                target.dialect.old.store(true, Ordering::Relaxed);
                events::older_protocol(&target.address, &refusal);
            }
            Ok((wire, frame))
        }
        Answer::Refused(error) => Err(error),
    }
}

/// As the mode of TLS says: `prefer` goes without it where the server refuses it, or what comes
/// by it.
async fn ask(
    target: &Target,
    login: &Login,
    opening: Opening<'_>,
    minor: u32,
) -> Result<Answer, ConnectError> {
    let stream = reach(target).await;
    let encrypted = stream.as_ref().is_ok_and(|stream| stream.tls().is_some());
    let answer = ask_on(stream, target, login, opening, minor).await;
    let refused = match &answer {
        Err(ConnectError::Tls(_)) => true,
        // As a line `hostnossl` in pg_hba.conf has it.
        Err(error) => encrypted && error.code() == Some(SqlState::INVALID_AUTHORIZATION),
        Ok(_) => false,
    };
    let Err(why) = answer else { return answer };
    if !refused || !prefers(target) {
        return Err(why);
    }
    let stream = reach_plainly(target, &why).await;
    // What the first had to say is worth more than that the second failed as well.
    let plain = ask_on(stream, target, login, opening, minor).await;
    plain.map_err(|_| why)
}

async fn ask_on(
    stream: Result<Stream, ConnectError>,
    target: &Target,
    login: &Login,
    opening: Opening<'_>,
    minor: u32,
) -> Result<Answer, ConnectError> {
    let mut wire = Wire::new(Link::new(stream?));
    let sent = wire.start(login, opening, minor).await;
    let first = match sent {
        Ok(()) => wire.next().await,
        Err(error) => Err(error),
    };
    match first.map_err(|error| seen(target, error)) {
        Ok(frame) if kind(&frame) != Kind::NegotiateProtocolVersion => {
            Ok(Answer::Goes(wire, frame))
        }
        Ok(frame) => match refused(backend::body(&frame), minor) {
            Some(error) => Ok(Answer::Refused(error)),
            None => {
                let frame = wire.next().await?;
                Ok(Answer::Goes(wire, frame))
            }
        },
        Err(error) if is_about_version(&error) => Ok(Answer::Refused(error)),
        Err(error) => Err(error),
    }
}

/// What is wrong with a NegotiateProtocolVersion, if anything is: we take any version up to the
/// one that we asked for, and asked for no options.
fn refused(body: &[u8], minor: u32) -> Option<ConnectError> {
    match backend::negotiated(body) {
        Some((version, 0)) if startup::is_at_most(version, minor) => None,
        Some((version, options)) => Some(ConnectError::Negotiated { version, options }),
        None => Some(ConnectError::Protocol),
    }
}

/// Whether a server that does not know our version may have put it this way.
fn is_about_version(error: &ConnectError) -> bool {
    match error {
        ConnectError::Lost(_) | ConnectError::Protocol => true,
        ConnectError::Rejected { code, .. } => {
            code.is_none_or(|code| matches!(code.class(), b"0A" | b"08" | b"XX"))
        }
        ConnectError::Dial(_)
        | ConnectError::Tls(_)
        | ConnectError::TimedOut(_)
        | ConnectError::NoPassword
        | ConnectError::Cleartext
        | ConnectError::NotAllowed(_)
        | ConnectError::Unbound
        | ConnectError::Unsupported(_)
        | ConnectError::NoMechanism
        | ConnectError::Scram(_)
        | ConnectError::Unproven
        | ConnectError::Negotiated { .. } => false,
    }
}
