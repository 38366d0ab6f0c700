//! A conversation with an operator: the simple and the extended protocol.
//! Never decides what a command does, only how it is asked for and answered.

use std::{
    collections::HashMap,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::{
    House,
    act::{self, Interruption},
    command::{self, Command},
    fault::Fault,
    house::Rights,
    show::Facts,
    table::{self, Cell, Column, Row},
};
use crate::net::Link;
use crate::protocol::backend::{self, Status, put_command_complete, put_ready};
use crate::protocol::frame;
use crate::protocol::frontend::{self, Format, Kind, Target};
use crate::protocol::notice::Severity;
use crate::session::{self, End, Handle, Phase, Signal};

/// Bytes of answers that are sent before the next question is looked at.
const MUCH: usize = 64 * 1024;
/// Bytes read at once.
const CHUNK: usize = 4096;
/// How long who leaves has to read the last of it.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// No command is as long as this.
const LONGEST: u64 = 1 << 20;

/// Who talks with the console.
pub struct Visitor {
    pub user: String,
    pub rights: Rights,
    pub handle: Rc<Handle>,
}

/// One operator's conversation, from the welcome on.
pub struct Console<'a, H> {
    house: &'a H,
    visitor: Visitor,
    link: Link,
    inbox: Vec<u8>,
    out: Vec<u8>,
    status: Status,
    /// After an error of the extended protocol: everything is dropped up to the Sync.
    skipping: bool,
    statements: HashMap<Vec<u8>, Option<Command>>,
    portals: HashMap<Vec<u8>, Portal>,
}

/// A statement that is to be run, and what of its answer is still to be told.
struct Portal {
    command: Option<Command>,
    formats: Vec<Format>,
    /// `None`: it has not run.
    rows: Option<std::vec::IntoIter<Row>>,
}

/// What the next message does to the conversation.
type Outcome = Result<(), Trouble>;

/// Why a message is not done as it says.
enum Trouble {
    /// The operator is told, and goes on.
    Fault(Fault),
    /// The conversation is over.
    End(End),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Interruption> for Trouble {
    fn from(interruption: Interruption) -> Self {
        match interruption {
            Interruption::Fault(fault) => Self::Fault(fault),
            Interruption::End(end) => Self::End(end),
        }
    }
}

impl<'a, H: House> Console<'a, H> {
    /// `ahead`: what came behind the start-up; `welcome`: what is to be told first.
    pub fn new(
        house: &'a H,
        visitor: Visitor,
        link: Link,
        ahead: Vec<u8>,
        welcome: Vec<u8>,
    ) -> Self {
        Self {
            house,
            visitor,
            link,
            inbox: ahead,
            out: welcome,
            status: Status::Idle,
            skipping: false,
            statements: HashMap::new(),
            portals: HashMap::new(),
        }
    }

    /// Talks until one of the two has had enough, and tells the operator why if it was not him.
    pub async fn run(mut self) -> End {
        let end = loop {
            if let Err(end) = self.turn().await {
                break end;
            }
        };
        if let End::Fault(fault) = &end {
            fault.put(&mut self.out, Severity::Fatal);
        }
        // A client that does not read its own end is not waited for.
        tokio::time::timeout(LAST_WORDS, self.flush()).await.ok();
        self.link.farewell();
        end
    }

    /// Answers what is here, then waits for more.
    async fn turn(&mut self) -> Result<(), End> {
        let inbox = std::mem::take(&mut self.inbox);
        let mut at = 0;
        while let Some(frame) = next(inbox.get(at..).unwrap_or_default())? {
            at += frame.len();
            // What a command that waits reads meanwhile comes behind what is here.
            let kind = frame.first().map_or(Kind::Unknown, |&tag| Kind::of(tag));
            let result = self.message(kind, backend::body(frame)).await;
            self.settle(kind, result)?;
            if self.out.len() > MUCH {
                self.flush().await?;
            }
        }
        let came = std::mem::take(&mut self.inbox);
        self.inbox = inbox.get(at..).unwrap_or_default().to_owned();
        self.inbox.extend_from_slice(&came);
        self.flush().await?;
        if came.is_empty() {
            self.listen().await?;
        }
        Ok(())
    }

    fn settle(&mut self, kind: Kind, result: Outcome) -> Result<(), End> {
        match result {
            Ok(()) => Ok(()),
            Err(Trouble::Fault(fault)) => {
                fault.put(&mut self.out);
                if self.status == Status::InTransaction {
                    self.status = Status::Failed;
                }
                if kind == Kind::Query {
                    put_ready(&mut self.out, self.status);
                } else {
                    self.skipping = true;
                }
                Ok(())
            }
            Err(Trouble::End(end)) => Err(end),
        }
    }

    async fn message(&mut self, kind: Kind, body: &[u8]) -> Outcome {
        if self.skipping && !matches!(kind, Kind::Sync | Kind::Terminate) {
            return Ok(());
        }
        match kind {
            Kind::Query => self.query(body).await,
            Kind::Parse => self.parse(body),
            Kind::Bind => self.bind(body),
            Kind::Describe => self.describe(body),
            Kind::Execute => self.execute(body).await,
            Kind::Close => self.close(body),
            Kind::Sync => {
                self.skipping = false;
                self.portals.clear();
                put_ready(&mut self.out, self.status);
                Ok(())
            }
            // Answers leave when the client's bytes are used up, which is soon enough.
            Kind::Flush => Ok(()),
            Kind::Terminate => Err(Trouble::End(End::Terminated)),
            // As the server takes them outside of a COPY.
            Kind::CopyData | Kind::CopyDone | Kind::CopyFail => Ok(()),
            Kind::FunctionCall => Err(Fault::Query.into()),
            Kind::Authentication | Kind::Unknown => {
                Err(Trouble::End(session::Fault::Protocol.into()))
            }
        }
    }

    async fn query(&mut self, body: &[u8]) -> Outcome {
        let commands = command::read(frontend::text(body));
        if commands.is_empty() {
            self.out.extend_from_slice(backend::EMPTY_QUERY_RESPONSE);
        }
        for command in commands {
            let command = command?;
            let tag = self.tag(&command);
            let rows = self.perform(&command).await?;
            if let Some(columns) = columns(&command) {
                table::put_columns(&mut self.out, columns, &[]);
                for row in &rows {
                    table::put_row(&mut self.out, row, &[]);
                }
            }
            put_command_complete(&mut self.out, tag);
        }
        put_ready(&mut self.out, self.status);
        Ok(())
    }

    fn parse(&mut self, body: &[u8]) -> Outcome {
        let (name, rest) = frontend::parse(body).ok_or(Fault::Protocol)?;
        if !name.is_empty() && self.statements.contains_key(name) {
            let name = shown(name);
            return Err(Fault::DuplicateStatement { name }.into());
        }
        let mut commands = command::read(frontend::text(rest));
        if commands.len() > 1 {
            return Err(Fault::SeveralCommands.into());
        }
        let command = commands.pop().transpose()?;
        self.statements.insert(name.to_owned(), command);
        self.out.extend_from_slice(backend::PARSE_COMPLETE);
        Ok(())
    }

    fn bind(&mut self, body: &[u8]) -> Outcome {
        let (portal, statement, rest) = frontend::bind(body).ok_or(Fault::Protocol)?;
        let command = self.statement(statement)?.clone();
        let (values, formats) = frontend::bind_formats(rest).ok_or(Fault::Protocol)?;
        if values > 0 {
            return Err(Fault::Parameters.into());
        }
        let portal = portal.to_owned();
        let rows = None;
        let bound = Portal {
            command,
            formats,
            rows,
        };
        self.portals.insert(portal, bound);
        self.out.extend_from_slice(backend::BIND_COMPLETE);
        Ok(())
    }

    fn describe(&mut self, body: &[u8]) -> Outcome {
        let (target, name) = frontend::target(body).ok_or(Fault::Protocol)?;
        let (command, formats) = match target {
            Target::Statement => {
                let command = self.statement(name)?.clone();
                // No parameters.
                backend::put_parameter_description(&mut self.out, &[0, 0]);
                (command, Vec::new())
            }
            Target::Portal => {
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                (portal.command.clone(), portal.formats.clone())
            }
        };
        match command.as_ref().and_then(columns) {
            Some(columns) => table::put_columns(&mut self.out, columns, &formats),
            None => self.out.extend_from_slice(backend::NO_DATA),
        }
        Ok(())
    }

    async fn execute(&mut self, body: &[u8]) -> Outcome {
        let name = frontend::execute(body).ok_or(Fault::Protocol)?;
        let limit = frontend::execute_limit(body).ok_or(Fault::Protocol)?;
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        let Some(command) = portal.command.clone() else {
            self.out.extend_from_slice(backend::EMPTY_QUERY_RESPONSE);
            self.portals.insert(name.to_owned(), portal);
            return Ok(());
        };
        let tag = self.tag(&command);
        let mut rows = match portal.rows.take() {
            Some(rows) => rows,
            None => self.perform(&command).await?.into_iter(),
        };
        let limit = if limit == 0 { usize::MAX } else { limit };
        for row in rows.by_ref().take(limit) {
            table::put_row(&mut self.out, &row, &portal.formats);
        }
        if rows.len() > 0 {
            self.out.extend_from_slice(backend::PORTAL_SUSPENDED);
        } else {
            put_command_complete(&mut self.out, tag);
        }
        portal.rows = Some(rows);
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    fn close(&mut self, body: &[u8]) -> Outcome {
        let (target, name) = frontend::target(body).ok_or(Fault::Protocol)?;
        match target {
            Target::Statement => drop(self.statements.remove(name)),
            Target::Portal => drop(self.portals.remove(name)),
        }
        self.out.extend_from_slice(backend::CLOSE_COMPLETE);
        Ok(())
    }

    fn statement(&self, name: &[u8]) -> Result<&Option<Command>, Fault> {
        let none = || Fault::NoSuchStatement { name: shown(name) };
        self.statements.get(name).ok_or_else(none)
    }

    /// What the command's answer ends with.
    fn tag(&self, command: &Command) -> &'static str {
        match command {
            Command::Transaction(_, Status::Idle) if self.status == Status::Failed => "ROLLBACK",
            Command::Transaction(tag, _) | Command::Quiet(tag) => tag,
            Command::Show(_) => "SHOW",
            Command::Act(act) => act.tag(),
            Command::Number(_) => "SELECT 1",
        }
    }

    /// Does what the command says; its rows, if it has some.
    async fn perform(&mut self, command: &Command) -> Result<Vec<Row>, Trouble> {
        if self.status == Status::Failed
            && !matches!(command, Command::Transaction(_, Status::Idle))
        {
            return Err(Fault::Aborted.into());
        }
        self.visitor.handle.enter(Phase::Active, Instant::now());
        let result = self.run_command(command).await;
        self.visitor.handle.enter(Phase::Idle, Instant::now());
        result
    }

    async fn run_command(&mut self, command: &Command) -> Result<Vec<Row>, Trouble> {
        match command {
            Command::Show(topic) => Ok(topic.rows(&Facts::of(self.house, *topic).await)),
            Command::Number(number) => Ok(vec![vec![Cell::Number(*number)]]),
            Command::Quiet(tag) => {
                if matches!(*tag, "DISCARD ALL" | "DEALLOCATE ALL") {
                    self.statements.clear();
                }
                Ok(Vec::new())
            }
            Command::Transaction(_, status) => {
                self.status = *status;
                Ok(Vec::new())
            }
            Command::Act(act) => {
                if self.visitor.rights == Rights::Look {
                    let user = self.visitor.user.clone();
                    return Err(Fault::NotAllowed { user }.into());
                }
                tracing::info!(user = self.visitor.user, ?act, "console");
                let house = self.house;
                act::perform(house, act, self).await?;
                Ok(Vec::new())
            }
        }
    }

    /// Sends everything that is to be told, and waits until the client has taken it.
    async fn flush(&mut self) -> Result<(), End> {
        let out = std::mem::take(&mut self.out);
        let mut sent = false;
        std::future::poll_fn(|cx| {
            if !sent {
                sent = true;
                self.link.send(cx, &out).map_err(End::Client)?;
            }
            if self.link.poll_flush(cx).map_err(End::Client)?.is_ready() {
                return Poll::Ready(Ok(()));
            }
            self.poll_told(cx).map(Err)
        })
        .await
    }

    /// Waits for bytes of the client, or to be told to leave.
    async fn listen(&mut self) -> Result<(), End> {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(end) = self.poll_told(cx) {
                return Poll::Ready(Err(end));
            }
            self.poll_more(cx)
        })
        .await
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let mut chunk = [0; CHUNK];
        match self.link.poll_read(cx, &mut chunk) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0)) => Poll::Ready(Err(End::Gone)),
            Poll::Ready(Ok(read)) => {
                let read = chunk.get(..read).unwrap_or_default();
                self.inbox.extend_from_slice(read);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(End::Client(error))),
        }
    }

    /// Whether the operator is sent away. A cancel with nothing to cancel is forgotten.
    fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.visitor.handle.register(cx.waker());
        drop(self.visitor.handle.take_cancels());
        while let Some(signal) = self.visitor.handle.take_signal() {
            if let Some(end) = end_of(signal) {
                return Poll::Ready(end);
            }
        }
        Poll::Pending
    }
}

impl<H: House> act::Attention for Console<'_, H> {
    /// Ready when the operator wants no more of what is waited for. What he says meanwhile is kept.
    fn poll_interruption(&mut self, cx: &mut Context<'_>) -> Poll<Interruption> {
        self.visitor.handle.register(cx.waker());
        while let Some(signal) = self.visitor.handle.take_signal() {
            if signal == Signal::Cancel {
                // Who sent it waits until that is dropped.
                drop(self.visitor.handle.take_cancels());
                return Poll::Ready(Fault::Cancelled.into());
            }
            if let Some(end) = end_of(signal) {
                return Poll::Ready(end.into());
            }
        }
        while (self.inbox.len() as u64) < LONGEST {
            match self.poll_more(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => return Poll::Ready(end.into()),
            }
        }
        Poll::Pending
    }
}

/// How a conversation ends that is told so.
fn end_of(signal: Signal) -> Option<End> {
    match signal {
        Signal::Terminate | Signal::Drain => Some(session::Fault::Shutdown.into()),
        Signal::Kill => Some(session::Fault::Killed.into()),
        // The console has no limits, and reads whatever comes.
        Signal::ClientIdle
        | Signal::IdleInTransaction
        | Signal::QueryTimeout
        | Signal::Cancel
        | Signal::Look => None,
    }
}

/// The columns of a command's answer, if it has one.
fn columns(command: &Command) -> Option<&'static [Column]> {
    const NUMBER: &[Column] = &[table::number("?column?")];
    match command {
        Command::Show(topic) => Some(topic.columns()),
        Command::Number(_) => Some(NUMBER),
        Command::Act(_) | Command::Quiet(_) | Command::Transaction(..) => None,
    }
}

/// The whole frame at the front, if it is here.
fn next(bytes: &[u8]) -> Result<Option<&[u8]>, End> {
    let header = frame::peek(bytes).map_err(|_| session::Fault::Protocol)?;
    let Some(header) = header else {
        return Ok(None);
    };
    if header.len as u64 > LONGEST {
        let (len, limit) = (header.len, LONGEST);
        let [database, _] = super::DATABASES.map(str::to_owned);
        return Err(session::Fault::MessageTooLarge {
            database,
            len,
            limit,
        }
        .into());
    }
    Ok(bytes.get(..header.len))
}

fn no_portal(name: &[u8]) -> Fault {
    Fault::NoSuchPortal { name: shown(name) }
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests;
