//! Who may do what, with a house that notes what it is asked.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test"
)]

use std::cell::RefCell;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::*;
use crate::admin::{Database, Detail, History, Pauses, Report, Settings};
use crate::net::{Stream, tls::State};
use crate::protocol::notice;
use crate::session::{SessionId, Who};

#[derive(Default)]
struct Paper {
    settings: Settings,
    pauses: RefCell<Pauses>,
    done: RefCell<Vec<String>>,
}

impl Paper {
    fn note(&self, what: &str) {
        self.done.borrow_mut().push(what.to_owned());
    }
}

impl House for Paper {
    async fn reports(&self, _: Detail) -> Vec<Report> {
        Vec::new()
    }

    fn history(&self) -> History {
        History::default()
    }

    fn earlier(&self) -> (History, Duration) {
        (History::default(), Duration::ZERO)
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn databases(&self) -> &[Database] {
        &[]
    }

    fn fleets(&self) -> Vec<(String, std::sync::Arc<crate::backend::Fleet>)> {
        Vec::new()
    }

    fn papers(&self) -> Vec<State> {
        Vec::new()
    }

    fn arriving(&self, _: usize) -> usize {
        0
    }

    fn pauses(&self) -> Pauses {
        self.pauses.borrow().clone()
    }

    fn pause(&self, database: Option<&str>) -> bool {
        self.note("pause");
        self.pauses.borrow_mut().add(database)
    }

    fn resume(&self, database: Option<&str>) -> bool {
        self.note("resume");
        self.pauses.borrow_mut().remove(database)
    }

    fn renew(&self, _: Option<&str>) {
        self.note("renew");
    }

    fn kill(&self, _: SessionId) {
        self.note("kill");
    }

    fn shut_down(&self) {
        self.note("shut down");
    }
}

/// Says it all, reads up to the end, and gives the code of each error.
async fn codes(house: &Paper, rights: Rights, texts: &[&str]) -> Vec<String> {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let handle = Handle::new(0, Instant::now(), &Rc::default(), Who::default());
    let visitor = Visitor {
        user: "somebody".to_owned(),
        rights,
        handle: Rc::new(handle),
    };
    let mut said = Vec::new();
    for text in texts {
        frontend::put_query(&mut said, text.as_bytes());
    }
    said.extend_from_slice(frontend::TERMINATE);
    theirs.write_all(&said).await.unwrap();
    let console = Console::new(
        house,
        visitor,
        Link::new(Stream::Unix(ours)),
        Vec::new(),
        Vec::new(),
    );
    let end = console.run().await;
    assert!(matches!(end, End::Terminated));
    let mut heard = Vec::new();
    theirs.read_to_end(&mut heard).await.unwrap();
    let (mut codes, mut rest) = (Vec::new(), heard.as_slice());
    while let Some(frame) = next(rest).unwrap() {
        if backend::Kind::of(frame[0]) == backend::Kind::ErrorResponse {
            let body = backend::body(frame);
            assert!(!notice::is_fatal(body));
            codes.push(notice::sqlstate(body).unwrap().to_string());
        }
        rest = &rest[frame.len()..];
    }
    codes
}

const CHANGES: [&str; 5] = [
    "pause",
    "RESUME",
    "reconnect",
    "kill_client 1",
    "/* hidden */ ShutDown",
];

#[tokio::test]
async fn who_may_look_may_see_everything_and_change_nothing() {
    let house = Paper::default();
    let shows = ["show pools", "show clients", "show config", "select 1"];
    assert!(codes(&house, Rights::Look, &shows).await.is_empty());
    let refused = codes(&house, Rights::Look, &CHANGES).await;
    assert_eq!(refused, ["42501"; 5]);
    assert!(house.done.borrow().is_empty());
    // Not in one text with something that is allowed either.
    let refused = codes(&house, Rights::Look, &["show pools; pause; show pools"]).await;
    assert_eq!(refused, ["42501"]);
    assert!(house.done.borrow().is_empty());
}

#[tokio::test]
async fn who_may_do_everything_does_it() {
    let house = Paper::default();
    // There is no client 1.
    assert_eq!(codes(&house, Rights::All, &CHANGES).await, ["42704"]);
    assert_eq!(
        *house.done.borrow(),
        ["pause", "resume", "renew", "shut down"]
    );
}
