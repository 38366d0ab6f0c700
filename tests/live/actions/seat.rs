//! One client, twice: directly and through the ambassador.

use std::{collections::HashSet, io, time::Duration};

use crate::{
    talks::without_oids,
    wire::{Frame, Wire, query},
};

/// One side of a client.
pub struct Ear {
    pub wire: Wire,
    /// Its database; the names of both are of one length.
    database: String,
    me: char,
    /// What others notified it of, in the order in which it was told.
    pub told: Vec<String>,
}

/// What was heard of one step.
#[derive(Default, PartialEq)]
pub struct Heard {
    pub frames: Vec<Frame>,
    /// What it notified itself of, each with the number of the request that told it.
    pub own: Vec<(usize, String)>,
}

impl Heard {
    pub fn ends(&self) -> usize {
        self.frames.iter().filter(|frame| frame.tag == b'Z').count()
    }
}

impl Ear {
    pub fn new(port: u16, database: &str, me: char, wear: &[(&str, &str)]) -> Result<Self, Frame> {
        Ok(Self {
            wire: Wire::login(port, database, wear)?,
            database: database.to_owned(),
            me,
            told: Vec::new(),
        })
    }

    pub fn say(&mut self, messages: &[Vec<u8>], slowly: bool) {
        // Who is gone is seen at the next read.
        if slowly {
            for one in messages {
                let _ = self.wire.try_send(one);
            }
        } else {
            let _ = self.wire.try_send(&messages.concat());
        }
    }

    /// So many requests' answers, or as much as comes.
    pub fn hear(&mut self, requests: usize, patience: Duration) -> Heard {
        let mut heard = Heard::default();
        let mut ends = 0;
        self.wire.be_patient(patience);
        while ends < requests {
            let Ok(Some(frame)) = self.wire.try_frame() else {
                break;
            };
            ends += usize::from(frame.tag == b'Z');
            match self.notification(&frame) {
                Some((true, what)) => heard.own.push((ends, what)),
                Some((false, what)) => self.told.push(what),
                None => heard.frames.push(self.normalised(frame)),
            }
        }
        heard
    }

    /// Waits until it was told so much.
    pub fn listen(&mut self, count: usize, patience: Duration) -> io::Result<()> {
        self.wire.be_patient(patience);
        while self.told.len() < count {
            match self.wire.try_frame()? {
                Some(frame) => match self.notification(&frame) {
                    Some((_, what)) => self.told.push(what),
                    None => self.told.push(format!("no notification: {frame}")),
                },
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(())
    }

    /// Whether a notification is its own, and what it says. Payloads begin with who sent them.
    fn notification(&self, frame: &Frame) -> Option<(bool, String)> {
        let (_pid, body) = frame.body.split_first_chunk::<4>()?;
        (frame.tag == b'A').then(|| {
            let text = String::from_utf8_lossy(body);
            let payload = text.split('\0').nth(1).unwrap_or_default();
            (payload.starts_with(self.me), text.replace('\0', " "))
        })
    }

    /// Both sides' databases have names and numbers of their own.
    fn normalised(&self, mut frame: Frame) -> Frame {
        let name = self.database.as_bytes();
        if b"EN".contains(&frame.tag)
            && let Some(at) = frame.body.windows(name.len()).position(|part| part == name)
        {
            frame.body[at..at + name.len()].fill(b'~');
        }
        without_oids(frame)
    }
}

/// A client on both sides.
pub struct Seat {
    pub direct: Ear,
    pub through: Ear,
    /// As it was told directly.
    pub status: u8,
    /// The step that began its transaction.
    pub since: usize,
    /// Something in its transaction may notify.
    pub notifies: bool,
    /// Names of statements that only its own connection runs.
    pub stays: HashSet<Vec<u8>>,
}

impl Seat {
    pub fn is_idle(&self) -> bool {
        self.status == b'I'
    }

    /// Has both hear what there is to be heard.
    pub fn nudge(&mut self, patience: Duration) -> (Heard, Heard) {
        let nothing = [query("")];
        self.direct.say(&nothing, false);
        let expected = self.direct.hear(1, patience);
        self.through.say(&nothing, false);
        (expected, self.through.hear(1, patience))
    }
}
