//! What one side shows and whom it believes, as its files have it: read anew when they change.

use core::fmt;
use std::{path::PathBuf, sync::Arc};

use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{FileError, identity::certificates_in};
use crate::net::watch::{Looked, Watched};

/// A file, and the key of the configuration that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PapersFile {
    pub key: &'static str,
    pub path: PathBuf,
    /// It holds certificates, and not a key.
    pub shown: bool,
}

/// Everything that is wrong with the files, never empty.
#[derive(Debug)]
pub struct Flaws(pub Vec<Flaw>);

/// A file that cannot be used.
#[derive(Debug)]
pub struct Flaw {
    /// The key that names it; empty where none does, as for what the system trusts.
    pub key: &'static str,
    pub error: FileError,
}

impl fmt::Display for Flaws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Flaw { key, error }) in self.0.iter().enumerate() {
            let between = if at > 0 { "; " } else { "" };
            match *key {
                "" => write!(f, "{between}{error}")?,
                key => write!(f, "{between}{key}: {error}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Flaws {}

/// What is made of the files of one table of the configuration: rustls' settings of one side.
pub struct Papers<T> {
    table: String,
    files: Vec<PapersFile>,
    watched: Watched<Made<T>, Flaws>,
}

struct Made<T> {
    settings: Arc<T>,
    /// What the files held when it was made.
    papers: Vec<Paper>,
}

impl<T> Papers<T> {
    /// # Errors
    /// What `make`, which reads the files, says of them as they are.
    pub fn new(
        table: String,
        files: Vec<PapersFile>,
        make: impl Fn() -> Result<Arc<T>, Flaws> + Send + Sync + 'static,
    ) -> Result<Self, Flaws> {
        let paths = files.iter().map(|file| file.path.clone()).collect();
        let shown = files.clone();
        let make = move || {
            let settings = make()?;
            let papers = shown.iter().filter(|file| file.shown).flat_map(papers_in);
            let papers = papers.collect();
            Ok(Made { settings, papers })
        };
        let watched = Watched::new(paths, make)?;
        Ok(Self {
            table,
            files,
            watched,
        })
    }

    /// As they count from now on, for a new connection.
    pub fn settings(&self) -> Arc<T> {
        Arc::clone(&self.watched.current().settings)
    }

    /// The path of a key.
    pub fn path(&self, key: &str) -> Option<&PathBuf> {
        let file = self.files.iter().find(|file| file.key == key);
        file.map(|file| &file.path)
    }
}

/// The paths alone: what they hold may change while the configuration stays.
impl<T> fmt::Debug for Papers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Papers");
        shown
            .field("table", &self.table)
            .field("files", &self.files);
        shown.finish_non_exhaustive()
    }
}

/// One table's papers, whichever side's they are.
pub trait Renewable: Send + Sync {
    /// What names them in the configuration: `listen`.
    fn table(&self) -> &str;

    /// Looks after the files; in any case reads them if `again`. See [`Watched::look`].
    fn look(&self, again: bool) -> Looked<Flaws>;

    /// How they are.
    fn state(&self) -> State;
}

impl<T: Send + Sync> Renewable for Papers<T> {
    fn table(&self) -> &str {
        &self.table
    }

    fn look(&self, again: bool) -> Looked<Flaws> {
        self.watched.look(again)
    }

    fn state(&self) -> State {
        let (renewed, refused) = self.watched.counts();
        State {
            table: self.table.clone(),
            papers: self.watched.current().papers.clone(),
            renewed,
            refused,
            why_refused: self.watched.refused(),
        }
    }
}

/// How one table's papers are.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub table: String,
    /// Those in use.
    pub papers: Vec<Paper>,
    /// How often the files were read anew, and how often they were of no use.
    pub renewed: u64,
    pub refused: u64,
    /// Why the files as they are now are not in use; `None`: they are.
    pub why_refused: Option<String>,
}

/// A certificate in a file, as operators want to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paper {
    pub key: &'static str,
    pub file: PathBuf,
    pub subject: String,
    pub issuer: String,
    /// Decimal, as `pg_stat_ssl` has it.
    pub serial: String,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970; good to this second itself.
    pub not_after: i64,
}

fn papers_in(file: &PapersFile) -> Vec<Paper> {
    let found = certificates_in(&file.path).unwrap_or_default();
    found.iter().filter_map(|one| paper(file, one)).collect()
}

fn paper(file: &PapersFile, certificate: &CertificateDer<'_>) -> Option<Paper> {
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    let validity = read.validity();
    Some(Paper {
        key: file.key,
        file: file.path.clone(),
        subject: read.subject().to_string(),
        issuer: read.issuer().to_string(),
        serial: read.tbs_certificate.serial.to_string(),
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
    })
}
