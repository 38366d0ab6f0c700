//! One database's catalog, as it was last seen.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::{
    Ask, Rows, Trust,
    picture::draw,
    read::{Digest, ReadError, read_digest, read_rows},
    refresh::Outcome,
};
use crate::sql::Known;

/// So many rows are some milliseconds' work; the server's own functions are a third of it.
const MANY: usize = 10_000;

/// What is known of one database, for all who judge its statements.
#[derive(Debug, Default)]
pub struct Catalog {
    trust: Trust,
    /// As of before the picture was read; `None`: it is to be read whatever has changed.
    digest: Option<Digest>,
    known: Option<Arc<Known>>,
    /// The last epoch that was given out.
    epoch: u64,
}

impl Catalog {
    /// Nothing is known yet.
    pub fn new(trust: Trust) -> Self {
        Self {
            trust,
            ..Self::default()
        }
    }

    /// The picture; `None`: nobody has looked.
    pub fn known(&self) -> Option<Arc<Known>> {
        self.known.clone()
    }

    /// From the next look on labels are trusted so.
    pub fn trust(&mut self, trust: Trust) {
        if self.trust != trust {
            self.trust = trust;
            self.digest = None;
        }
    }

    /// Looks at the catalog of the database that is connected to, and reads it if it has changed.
    /// A picture that says the same keeps its epoch, so that what was judged by it stands.
    ///
    /// # Errors
    /// See [`ReadError`]; the picture stays as it was, and so it does when the call is dropped.
    pub async fn look<A: Ask>(
        &mut self,
        connection: &mut A,
    ) -> Result<Outcome, ReadError<A::Error>> {
        let digest = read_digest(connection).await?;
        if self.digest.as_ref() == Some(&digest) {
            return Ok(Outcome::Same);
        }
        // What changes from here on is in the rows and not in the digest, or in neither: the
        // next digest differs from this one, and it is read once more.
        let rows = read_rows(connection).await?;
        let known = draw_aside(rows, self.trust, self.epoch + 1).await;
        self.digest = Some(digest);
        if self.known.as_ref().is_some_and(|old| old.agrees(&known)) {
            return Ok(Outcome::Same);
        }
        self.epoch = known.epoch;
        self.known = Some(Arc::new(known));
        Ok(Outcome::Changed)
    }
}

/// A picture of many rows takes longer than others on this thread should wait.
async fn draw_aside(rows: Rows, trust: Trust, epoch: u64) -> Known {
    let many = rows.functions.len() + rows.relations.len() > MANY;
    let rows = Arc::new(rows);
    if many {
        let own = Arc::clone(&rows);
        let drawn = spawn_blocking(move || draw(&own, trust, epoch)).await;
        if let Ok(known) = drawn {
            return known;
        }
    }
    draw(&rows, trust, epoch)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;
    use crate::catalog::Row;

    /// A database with one table, whose answers to a digest and to all else are told.
    struct Told {
        digest: &'static str,
        table: &'static str,
        asked: usize,
    }

    impl Ask for Told {
        type Error = std::io::Error;

        async fn ask(
            &mut self,
            statement: &str,
            show: &mut dyn FnMut(&Row<'_>),
        ) -> Result<(), Self::Error> {
            self.asked += 1;
            if statement.contains("UNION ALL") {
                show(&[Some(b"n"), Some(b"2200"), Some(b"public")]);
                show(&[
                    Some(b"r"),
                    Some(b"20000"),
                    Some(b"2200"),
                    Some(self.table.as_bytes()),
                    Some(b"rp"),
                    Some(b"20002"),
                ]);
            } else {
                show(&[Some(self.digest.as_bytes())]);
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn it_is_read_when_it_has_changed_and_named_anew_when_it_says_something_else() {
        let mut told = Told {
            digest: "1",
            table: "t",
            asked: 0,
        };
        let mut catalog = Catalog::new(Trust::Volatility);
        assert!(catalog.known().is_none());
        assert_eq!(catalog.look(&mut told).await.unwrap(), Outcome::Changed);
        let known = catalog.known().unwrap();
        assert_eq!((known.epoch, known.relation(None, b"t")), (1, Ok(())));
        assert_eq!(told.asked, 2);
        // Nothing has changed.
        assert_eq!(catalog.look(&mut told).await.unwrap(), Outcome::Same);
        assert_eq!(told.asked, 3);
        // Something has, which decides nothing.
        told.digest = "2";
        assert_eq!(catalog.look(&mut told).await.unwrap(), Outcome::Same);
        assert_eq!((told.asked, catalog.known().unwrap().epoch), (5, 1));
        // Something else has.
        (told.digest, told.table) = ("3", "u");
        assert_eq!(catalog.look(&mut told).await.unwrap(), Outcome::Changed);
        assert_eq!(catalog.known().unwrap().epoch, 2);
        // The operator has changed his mind.
        catalog.trust(Trust::Primary);
        assert_eq!(catalog.look(&mut told).await.unwrap(), Outcome::Same);
        assert_eq!(told.asked, 9);
    }
}
