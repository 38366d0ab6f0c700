//! The connection that listens, and the task that has it.

use std::{future::poll_fn, io, mem, rc::Rc, sync::Arc, time::Duration};

use super::{Errands, Listeners, Terms};
use crate::backend::{Connection, ConnectionId, Login, Opening, Seat, Target, connect};
use crate::protocol::{
    Parameters,
    backend::{self, Kind},
    frame, frontend, notice,
};
use crate::telemetry::events;

const APPLICATION_NAME: &[u8] = b"ambassador listen";

/// An operator's time-out for idle sessions does not mean this one; not every version has it.
const NO_IDLE_TIMEOUT: &str = "SELECT pg_catalog.set_config(s.name, '0', false) \
    FROM pg_catalog.pg_settings AS s \
    WHERE s.name OPERATOR(pg_catalog.=) 'idle_session_timeout'";

/// How long it stays when nobody listens: who listens anew finds it, and who drops the database
/// does not.
const LINGER: Duration = Duration::from_secs(1);

/// What one read may bring.
const CHUNK: usize = 16 * 1024;

/// Whom to listen for, and where.
pub(super) struct Plan {
    pub listeners: Arc<Listeners>,
    pub target: Rc<Target>,
    pub login: Rc<Login>,
    pub backend: String,
    pub encoding: Arc<[u8]>,
}

impl Plan {
    /// Dials, and listens until nobody wants it any more or the connection ends.
    pub async fn keep(self) {
        match self.listen().await {
            Ok(pid) => events::listening_ended(&self.backend, pid),
            Err(why) => {
                events::listening_lost(&self.backend, &why);
                self.listeners.is_down(&why);
            }
        }
    }

    async fn listen(&self) -> Result<i32, String> {
        let mut parameters = Parameters::default();
        parameters.set(b"application_name", APPLICATION_NAME);
        parameters.set(b"client_encoding", &self.encoding);
        let opening = Opening {
            parameters: &parameters,
            switches: None,
            replication: None,
        };
        // Of no pool: it counts for none.
        let opened = connect(
            &self.target,
            &self.login,
            opening,
            ConnectionId(0),
            Seat::outside(),
        );
        let opened = opened.await.map_err(|error| error.to_string())?;
        let mut connection = opened.connection;
        let asked = connection.ask(NO_IDLE_TIMEOUT, &[]).await;
        asked.map_err(|error| error.to_string())?;
        let pid = connection.pid;
        let mut talk = Talk::new(&self.listeners, connection);
        // Even where the random part were guessed, it would be of no use to anybody.
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let marker = format!("_ambassador_{pid}_{:016x}", u64::from_be_bytes(random));
        let marker: Arc<[u8]> = marker.into_bytes().into();
        talk.say(Errands {
            listen: vec![(*marker).into()],
            unlisten: Vec::new(),
        })
        .await?;
        self.listeners.is_up(Terms {
            marker,
            encoding: Arc::clone(&self.encoding),
        });
        events::listening(&self.backend, pid);
        talk.go_on().await?;
        talk.connection.farewell();
        Ok(pid)
    }
}

/// What is under way on the connection.
struct Talk<'a> {
    listeners: &'a Listeners,
    connection: Connection,
    inbox: Vec<u8>,
    /// What it was told and has not acknowledged.
    asked: Option<Errands>,
}

impl<'a> Talk<'a> {
    fn new(listeners: &'a Listeners, connection: Connection) -> Self {
        Self {
            listeners,
            connection,
            inbox: Vec::new(),
            asked: None,
        }
    }

    /// Listens to what is to be listened to; ends when nobody listens for a while.
    async fn go_on(&mut self) -> Result<(), String> {
        loop {
            if self.asked.is_none()
                && let Some(errands) = self.listeners.errands()
            {
                self.say(errands).await?;
            }
            let mut chunk = [0; CHUNK];
            let link = &mut self.connection.link;
            let read = poll_fn(|cx| link.poll_read(cx, &mut chunk));
            let lonely = tokio::time::sleep(LINGER);
            let read = tokio::select! {
                biased;
                read = read => Some(read),
                () = self.listeners.bell.notified() => None,
                () = lonely, if self.asked.is_none() => match self.listeners.may_end() {
                    true => return Ok(()),
                    false => None,
                },
            };
            match read {
                Some(Ok(0)) => return Err("the backend closed the connection".to_owned()),
                Some(Ok(len)) => self.hear(chunk.get(..len).unwrap_or_default())?,
                Some(Err(error)) => return Err(error.to_string()),
                None => {}
            }
        }
    }

    async fn say(&mut self, errands: Errands) -> Result<(), String> {
        let listen = errands
            .listen
            .iter()
            .map(|channel| (&b"LISTEN "[..], channel));
        let unlisten = errands
            .unlisten
            .iter()
            .map(|channel| (&b"UNLISTEN "[..], channel));
        let mut text = Vec::new();
        for (verb, channel) in unlisten.chain(listen) {
            text.extend_from_slice(verb);
            text.extend(quoted(channel));
            text.push(b';');
        }
        let mut request = Vec::new();
        frontend::put_query(&mut request, &text);
        self.asked = Some(errands);
        let link = &mut self.connection.link;
        let mut sent = false;
        let said = poll_fn(|cx| {
            if !mem::replace(&mut sent, true) {
                link.send(cx, &request)?;
            }
            link.poll_flush(cx)
        });
        said.await.map_err(|error: io::Error| error.to_string())
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut inbox = mem::take(&mut self.inbox);
        inbox.extend_from_slice(bytes);
        let mut rest = inbox.as_slice();
        loop {
            let header = frame::peek(rest).map_err(|_| "it sent no frame".to_owned())?;
            let Some(header) = header.filter(|header| header.len <= rest.len()) else {
                break;
            };
            let (frame, behind) = rest.split_at(header.len);
            self.hear_one(Kind::of(header.tag), frame)?;
            rest = behind;
        }
        let heard = inbox.len() - rest.len();
        inbox.drain(..heard);
        self.inbox = inbox;
        Ok(())
    }

    fn hear_one(&mut self, kind: Kind, frame: &[u8]) -> Result<(), String> {
        let body = backend::body(frame);
        match kind {
            Kind::NotificationResponse => {
                let (_, channel, payload) =
                    backend::notification(body).ok_or("it sent half a notification")?;
                self.listeners.hear(channel, payload, frame);
            }
            // What was committed before it was asked to listen has been heard by now.
            Kind::ReadyForQuery => {
                if let Some(errands) = self.asked.take() {
                    self.listeners.are_heard(&errands.listen);
                }
            }
            Kind::ErrorResponse => {
                let said = notice::message(body).unwrap_or(b"an error without a message");
                return Err(String::from_utf8_lossy(said).into_owned());
            }
            Kind::CommandComplete
            | Kind::EmptyQueryResponse
            | Kind::NoticeResponse
            | Kind::ParameterStatus => {}
            Kind::Authentication
            | Kind::BackendKeyData
            | Kind::BindComplete
            | Kind::CloseComplete
            | Kind::CopyBothResponse
            | Kind::CopyData
            | Kind::CopyDone
            | Kind::CopyInResponse
            | Kind::CopyOutResponse
            | Kind::DataRow
            | Kind::FunctionCallResponse
            | Kind::NegotiateProtocolVersion
            | Kind::NoData
            | Kind::ParameterDescription
            | Kind::ParseComplete
            | Kind::PortalSuspended
            | Kind::RowDescription
            | Kind::Unknown => {
                return Err("it sent a message that does not belong there".to_owned());
            }
        }
        Ok(())
    }
}

/// A channel's name as an identifier.
pub fn quoted(channel: &[u8]) -> Vec<u8> {
    let doubled = channel.iter().flat_map(|&byte| match byte {
        b'"' => [b'"', b'"'].into_iter().take(2),
        other => [other, 0].into_iter().take(1),
    });
    [b'"'].into_iter().chain(doubled).chain([b'"']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_quoted_as_an_identifier() {
        assert_eq!(quoted(b"We\"ird"), b"\"We\"\"ird\"");
    }
}
