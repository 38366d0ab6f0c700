//! How a backend is asked what it is: over one connection of ours, which stays.

use std::{
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::timeout;

use super::{Database, OwnLogin, plan::Plan};
use crate::backend::{
    AskError, ConnectError, Connection, Identity, Login, Opening, Row, Said, Seat, Target, connect,
};
use crate::protocol::Parameters;
use crate::topology::{Layout, Position};

/// Asked again and again: whether it is in recovery, and how far its log goes, as a number.
const STATE: &str = "SELECT pg_catalog.pg_is_in_recovery(), \
     CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
     ELSE pg_catalog.pg_current_wal_insert_lsn() END - '0/0'::pg_catalog.pg_lsn";

/// Asked once, and when it turns into a primary. A segment's name begins with the timeline, which
/// the control file tells only after the next checkpoint.
const IDENTITY: &str = "SELECT system_identifier, \
     CASE WHEN pg_catalog.pg_is_in_recovery() THEN '0' \
     ELSE pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8) END, \
     bytes_per_wal_segment, wal_block_size \
     FROM pg_catalog.pg_control_system(), pg_catalog.pg_control_init()";

const SETTINGS: &[(&[u8], &[u8])] = &[
    (b"application_name", b"ambassador health"),
    (b"client_encoding", b"UTF8"),
    (b"default_transaction_read_only", b"on"),
    (b"search_path", b""),
];

/// The longest that a login may take where `connect_timeout` sets no limit.
const LONGEST: Duration = Duration::from_secs(10);

/// What a backend says of itself.
pub struct Answer {
    pub said: Said,
    /// When there is news of that.
    pub identity: Option<Identity>,
}

/// Why a backend did not say what it is.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    #[error("it did not answer within {0:?} (health.timeout)")]
    Late(Duration),
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Ask(#[from] AskError),
    #[error("its answer makes no sense")]
    Odd,
}

impl Unanswered {
    /// What that says of it. One that lets us in no more is there all the same: what clients
    /// log in with may well work.
    pub fn said(&self) -> Said {
        match self {
            Self::Connect(error) if is_of_the_login(error) => Said::Refuses,
            Self::Connect(_) | Self::Late(_) | Self::Ask(_) | Self::Odd => Said::Silent,
        }
    }
}

fn is_of_the_login(error: &ConnectError) -> bool {
    let of_the_way = matches!(
        error,
        ConnectError::Tls(_) | ConnectError::Negotiated { .. }
    );
    error.is_of_number() || !of_the_way && !error.is_passing()
}

/// Asks one backend.
pub struct Asker {
    plan: Arc<Plan>,
    entry: String,
    target: Target,
    /// The own one, and then what a client came with; the one that worked last first.
    logins: Vec<Rc<Login>>,
    /// As what a client's is known here.
    learned: Option<OwnLogin>,
    connection: Option<Connection>,
    /// Whether it was a primary; `None`: it has to be asked who it is.
    led: Option<bool>,
    layout: Option<Layout>,
    /// It does not let us see who it is.
    is_closed_about: bool,
}

impl Asker {
    /// `None`: the database has no such backend.
    pub fn new(plan: &Arc<Plan>, database: &Database, at: usize) -> Option<Self> {
        let address = database.backends.get(at)?.address.clone();
        let dialect = plan.known(&address.to_string()).dialect;
        let target = Target {
            address,
            settings: database.backend.clone(),
            dialect,
        };
        Some(Self {
            plan: Arc::clone(plan),
            entry: database.entry().to_owned(),
            logins: vec![login(database, &database.health.login)],
            learned: None,
            target,
            connection: None,
            led: None,
            layout: None,
            is_closed_about: false,
        })
    }

    pub fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    /// Lets the connection go.
    pub fn close(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.farewell();
        }
    }

    /// Dials, as everybody whom we know until one gets in.
    pub async fn open(&mut self) -> Result<(), Unanswered> {
        self.learn();
        let mut parameters = Parameters::default();
        for (name, value) in SETTINGS {
            parameters.set(name, value);
        }
        let opening = Opening {
            parameters: &parameters,
            switches: None,
            replication: None,
        };
        let mut refused = None;
        for (place, login) in self.logins.iter().enumerate() {
            let id = self.plan.next_connection();
            let dial = connect(&self.target, login, opening, id, Seat::outside());
            let dialled = timeout(LONGEST.max(self.target.settings.connect_timeout), dial).await;
            match dialled.map_err(|_| Unanswered::Late(LONGEST))? {
                Ok(opened) => {
                    self.connection = Some(opened.connection);
                    self.led = None;
                    self.logins.swap(0, place);
                    return Ok(());
                }
                // The own one tells best what to set.
                Err(error) if is_of_the_login(&error) => refused = refused.or(Some(error)),
                Err(error) => return Err(error.into()),
            }
        }
        refused.map_or(Err(Unanswered::Odd), |error| Err(error.into()))
    }

    /// Takes up as whom a client came last.
    fn learn(&mut self) {
        let databases = &self.plan.settings.databases;
        let Some(database) = databases.iter().find(|one| one.entry() == self.entry) else {
            return;
        };
        let learned = self.plan.remembered_login(database);
        if learned != self.learned
            && let Some(news) = &learned
        {
            self.logins = vec![
                login(database, &database.health.login),
                login(database, news),
            ];
            self.learned = learned;
        }
    }

    /// Asks. After an error the connection is of no use.
    pub async fn ask(&mut self) -> Result<Answer, Unanswered> {
        let connection = self.connection.as_mut().ok_or(Unanswered::Odd)?;
        let rows = connection.ask(STATE, &[]).await?;
        let said = said(&rows).ok_or(Unanswered::Odd)?;
        let leads = matches!(said, Said::Leads(_));
        if self.led == Some(leads) || self.is_closed_about {
            let (said, identity) = (self.at_a_record(said), None);
            return Ok(Answer { said, identity });
        }
        let identity = match connection.ask(IDENTITY, &[]).await {
            Ok(rows) => {
                self.layout = layout(&rows);
                identity(&rows).ok_or(Unanswered::Odd)?
            }
            Err(error @ AskError::Refused { .. }) => {
                self.is_closed_about = true;
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        };
        self.led = Some(leads);
        let (said, identity) = (self.at_a_record(said), Some(identity));
        Ok(Answer { said, identity })
    }

    fn at_a_record(&self, said: Said) -> Said {
        match (said, self.layout) {
            (Said::Leads(next), Some(layout)) => Said::Leads(layout.end_of_last(next)),
            (said, _) => said,
        }
    }

    /// Ready when the connection ends: nothing else comes unasked.
    pub fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(());
        };
        connection.link.poll_read(cx, &mut [0; 64]).map(drop)
    }
}

fn login(database: &Database, own: &OwnLogin) -> Rc<Login> {
    let (user, name) = (own.user.clone(), database.health.database.clone());
    Rc::new(Login::new(user.into(), name.into(), own.credential.clone()))
}

fn value(rows: &[Row], at: usize) -> Option<&str> {
    let value = rows.first()?.get(at)?.as_deref()?;
    std::str::from_utf8(value).ok()
}

fn said(rows: &[Row]) -> Option<Said> {
    let position: Option<Position> = match value(rows, 1) {
        Some(text) => Some(text.parse().ok()?),
        None => None,
    };
    match value(rows, 0)? {
        "t" => Some(Said::Follows(position)),
        _ => position.map(Said::Leads),
    }
}

fn layout(rows: &[Row]) -> Option<Layout> {
    Some(Layout {
        segment: value(rows, 2)?.parse().ok()?,
        page: value(rows, 3)?.parse().ok()?,
    })
}

fn identity(rows: &[Row]) -> Option<Identity> {
    // It is an int8 there, and all its bits are used.
    let system: i64 = value(rows, 0)?.parse().ok()?;
    Some(Identity {
        system: Some(system.cast_unsigned()),
        timeline: u32::from_str_radix(value(rows, 1)?, 16).ok()?,
    })
}
