//! What the catalog room makes of the stand's database, read over a connection of this test's own.

use std::{future::Future, pin::pin, task::Context, task::Poll, task::Waker};

use pg_ambassador::{
    catalog::{Ask, Row, Trust, draw, read_rows},
    sql::Known,
};

use crate::{
    stand::{DATABASE, Stand},
    wire::{self, Wire},
};

struct Connection(Wire);

impl Ask for Connection {
    type Error = std::io::Error;

    async fn ask(
        &mut self,
        statement: &str,
        show: &mut dyn FnMut(&Row<'_>),
    ) -> Result<(), Self::Error> {
        for frame in self.0.ask(&[wire::query(statement)]) {
            match frame.tag {
                b'D' => show(&values(&frame.body)),
                b'E' => panic!("{frame:?}"),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Of a DataRow.
fn values(body: &[u8]) -> Vec<Option<&[u8]>> {
    let mut rest = &body[2..];
    let mut values = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = i32::from_be_bytes(*length);
        let (value, after) = after.split_at(usize::try_from(length).unwrap_or(0));
        values.push((length >= 0).then_some(value));
        rest = after;
    }
    values
}

/// The picture of the stand's database, labels trusted.
pub fn of(stand: &Stand) -> Known {
    let options = "-c search_path= -c statement_timeout=60s -c default_transaction_read_only=on";
    let settings = [("options", options)];
    let wire = Wire::login(stand.primary.port(), DATABASE, &settings).unwrap();
    let mut connection = Connection(wire);
    let rows = ready(read_rows(&mut connection)).unwrap();
    draw(&rows, Trust::Volatility, 1)
}

/// The connection blocks, so nothing here ever waits.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}
