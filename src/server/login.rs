//! Lets a client prove who it is: what is known of it, what it is asked, and what it hears.

use std::fmt::Display;

use super::{
    Database,
    plan::Plan,
    verifiers::{NotAsked, Verifier},
    worker::Worker,
};
use crate::auth::{Denied, Found, Method, Names, Proof, Question, Seed, Settings, User};
use crate::handshake::{Random, Unproven, authenticate};
use crate::net::Link;
use crate::session::{End, Fault};
use crate::telemetry::events;

/// What the file, or the auth query, has of a name.
///
/// # Errors
/// The query could not be asked: what the client is to hear.
pub async fn look_up(
    worker: &Worker,
    database: &Database,
    name: &str,
) -> Result<Result<User, Denied>, End> {
    let (entry, query) = match (database.auth.find(name), &database.auth.query) {
        (Found::Ask(entry), Some(query)) => (entry, query),
        (found, _) => return Ok(known(found)),
    };
    let asked = worker.verifiers().of(worker, database, query, name).await;
    let verifier = asked.map_err(|NotAsked| {
        let database = database.entry().to_owned();
        Fault::NotAsked { database }
    })?;
    Ok(match verifier {
        Verifier::Known(password) => Ok(entry.with_password(password)),
        Verifier::Null => Err(Denied::NoPassword),
        Verifier::Unfit(why) => Err(Denied::Unfit(why)),
        Verifier::Unknown if database.auth.users.contains_key(name) => Err(Denied::NoPassword),
        Verifier::Unknown => known(database.auth.anybody()),
    })
}

fn known(found: Found) -> Result<User, Denied> {
    match found {
        Found::User(user) => Ok(user),
        Found::Ask(_) | Found::Nobody => Err(Denied::NoSuchUser),
    }
}

/// Where a client has to prove itself that wants a database which there is not: it hears so only
/// if it can log in elsewhere.
pub fn elsewhere<'a>(plan: &'a Plan, name: &str) -> Option<&'a Database> {
    let all = &plan.settings.databases;
    let asks = |database: &&Database| database.auth.method != Method::Trust;
    let knows = |database: &&Database| database.auth.users.contains_key(name);
    let asking = || all.iter().filter(asks);
    asking()
        .find(knows)
        .or_else(|| asking().next())
        .or_else(|| all.first())
}

/// Has a client prove to be `name` that wants to move the house itself: to somebody who knows a
/// password of this very name, wherever that is. Neither trust nor what `users."*"` lets in as
/// anybody proves anything. A certificate that names it does, where clients log in by that.
///
/// # Errors
/// It is not let in: what it is to hear, the same as a stranger. The log is told more.
pub async fn prove_operator(worker: &Worker, door: Door<'_>, name: &str) -> Result<(), End> {
    let plan = worker.plan();
    let Some(first) = elsewhere(plan, name) else {
        let user = name.to_owned();
        return Err(Fault::WrongPassword { user }.into());
    };
    let all = plan.settings.databases.iter();
    let mut certified = all.clone().filter(|one| one.auth.method == Method::Cert);
    if certified.next().is_some() && names(door.link).is_some_and(|names| names.contain(name)) {
        return Ok(());
    }
    let others = all.filter(|one| !std::ptr::eq(*one, first));
    let (mut judge, mut unasked) = (strict(first), None);
    let mut found = Err(Denied::NoSuchUser);
    for database in std::iter::once(first).chain(others) {
        let database = strict(database);
        match look_up(worker, &database, name).await {
            Ok(Ok(user)) if user.known().is_ok() => {
                (judge, found, unasked) = (database, Ok(user), None);
                break;
            }
            Ok(_) => {}
            Err(end) => unasked = Some(end),
        }
    }
    // Somewhere it may be known.
    if let Some(end) = unasked {
        return Err(end);
    }
    let proved = door.prove(&judge.auth, &plan.seed, name, found).await;
    proved.inspect_err(|_| worker.verifiers().doubt(&judge, name))?;
    Ok(())
}

/// The database as one that asks everybody for a password of his own.
fn strict(database: &Database) -> Database {
    let mut database = database.clone();
    database.auth.everyone = None;
    if !database.auth.method.asks() {
        database.auth.method = Method::ScramSha256;
    }
    database
}

/// A client that is to prove who it is.
pub struct Door<'a> {
    pub link: &'a mut Link,
    /// What it has sent already.
    pub ahead: &'a mut Vec<u8>,
    /// What it is to be told next.
    pub preface: &'a mut Vec<u8>,
    /// What SCRAM can be bound to.
    pub end_point: Option<Vec<u8>>,
}

impl Door<'_> {
    /// Has the client prove to be `name`, as far as the database asks for it.
    ///
    /// # Errors
    /// It is not let in: what it is to hear. The log is told more.
    pub async fn prove(
        self,
        auth: &Settings,
        seed: &Seed,
        name: &str,
        found: Result<User, Denied>,
    ) -> Result<(User, Option<Proof>), End> {
        if auth.method == Method::Cert {
            return self.certified(name, found).map(|user| (user, None));
        }
        let client = self.link.ends().peer;
        let asked = found.as_ref().map_err(|denied| *denied);
        let (question, verdict) = auth.question(seed, name, asked);
        let answered = match question {
            None => Ok(None),
            Some(question) => self.answer(question).await?.map(Some),
        };
        // Whoever cannot come in at all hears that the password is wrong, as everybody does.
        let proof = match (answered, verdict) {
            (Ok(_) | Err(Unproven::Wrong), Err(denied)) => {
                return Err(denied_to(&client, name, &denied));
            }
            (answered, _) => answered.map_err(|why| unproven(&client, name, why))?,
        };
        let user = found.map_err(|denied| denied_to(&client, name, &denied))?;
        Ok((user, proof))
    }

    /// The client is `name` if its certificate says so.
    fn certified(&self, name: &str, found: Result<User, Denied>) -> Result<User, End> {
        let names = names(self.link).ok_or(Fault::NoCertificate)?;
        let user = match names.contain(name) {
            true => found,
            false => Err(Denied::OtherCertificate),
        };
        user.map_err(|why| {
            events::login_denied(&self.link.ends().peer, name, &why);
            let user = name.to_owned();
            Fault::WrongCertificate { user }.into()
        })
    }

    async fn answer(self, question: Question) -> Result<Result<Proof, Unproven>, End> {
        let random = random().map_err(Fault::Randomness)?;
        Ok(authenticate(
            self.link,
            self.ahead,
            self.preface,
            question,
            random,
            self.end_point,
        )
        .await)
    }
}

/// Whom the client's certificate names; `None`: it has shown none. One that is shown has been
/// verified, or there were no connection.
fn names(link: &Link) -> Option<Names> {
    let certificate = link.tls()?.certificates().first()?;
    Some(Names::read(certificate))
}

/// The log is told why; the client hears that the password is wrong.
fn denied_to(client: &dyn Display, name: &str, why: &dyn Display) -> End {
    events::login_denied(client, name, why);
    let user = name.to_owned();
    Fault::WrongPassword { user }.into()
}

fn random() -> std::io::Result<Random> {
    let (mut nonce, mut salt) = ([0; 18], [0; 4]);
    getrandom::fill(&mut nonce)?;
    getrandom::fill(&mut salt)?;
    Ok(Random { nonce, salt })
}

fn unproven(client: &dyn Display, name: &str, why: Unproven) -> End {
    match why {
        Unproven::Broken(error) => End::Client(error),
        Unproven::Left => End::Gone,
        Unproven::Wrong | Unproven::Length => denied_to(client, name, &why),
        Unproven::Scram(error) => {
            // The client hears it in the server's words, which are few.
            events::login_denied(client, name, &error);
            Fault::Unproven(why).into()
        }
        Unproven::Empty
        | Unproven::Mechanism
        | Unproven::PasswordSize
        | Unproven::Malformed(_)
        | Unproven::Unexpected { .. } => Fault::Unproven(why).into(),
    }
}
