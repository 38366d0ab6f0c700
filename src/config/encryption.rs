//! TLS to the backends: `[databases.NAME.upstream_tls]`, over what a URL says of it.

use std::path::{Path, PathBuf};

use super::{
    mistake::Wrong,
    resolve::Reader,
    section::Section,
    url_tls::{SYSTEM, UrlTls},
};
use crate::backend::{ChannelBinding, Encryption, Negotiation, RequireAuth, Words};
use crate::net::tls::{
    Authorities, Client, ClientSettings, FileError, Flaw, IdentityFiles, MinVersion, Mode,
};

const MODES: [(&str, Option<Mode>); 5] = [
    ("disable", Some(Mode::Disable)),
    ("prefer", Some(Mode::Prefer)),
    ("require", Some(Mode::Require)),
    ("verify-ca", Some(Mode::VerifyCa)),
    ("verify-full", Some(Mode::VerifyFull)),
];

const NEGOTIATIONS: [(&str, Option<Negotiation>); 2] = [
    ("postgres", Some(Negotiation::Postgres)),
    ("direct", Some(Negotiation::Direct)),
];

const VERSIONS: [(&str, Option<MinVersion>); 2] = [
    ("1.2", Some(MinVersion::Tls12)),
    ("1.3", Some(MinVersion::Tls13)),
];

impl Reader<'_> {
    /// `None`: without TLS, or there is a mistake.
    pub(super) fn encryption(
        &self,
        section: &Section<'_>,
        require_auth: RequireAuth,
    ) -> Option<Encryption> {
        let written = section.get("upstream_tls").is_some();
        let table = section.table("upstream_tls");
        let (url, words) = match &self.upstream {
            Some(given) if !written => (given.upstream.tls.clone(), Words::Url),
            Some(given) => (given.upstream.tls.clone(), Words::of(section)),
            None => (UrlTls::default(), Words::of(section)),
        };
        let mode = table.choice("mode", &MODES, url.mode.unwrap_or_default());
        let negotiation = table.choice("negotiation", &NEGOTIATIONS, url.negotiation);
        let settings = ClientSettings {
            mode,
            authorities: authorities(&table, url.authorities, mode),
            identity: identity(&table, url.identity),
            min_version: table.choice("min_version", &VERSIONS, url.min_version),
        };
        if require_auth.password && !mode.verifies() {
            table.mistake("require_auth", Wrong::PasswordNeedsVerifiedTls);
        }
        if negotiation == Negotiation::Direct && mode < Mode::Require {
            table.mistake("negotiation", Wrong::DirectNeedsTls);
        }
        let server_name = table.text("server_name");
        if mode == Mode::Disable {
            return None;
        }
        let (called, keys) = words.papers();
        match Client::load_as(settings, called, keys) {
            Ok(client) => Some(Encryption::new(client, server_name, negotiation, words)),
            Err(flaws) => {
                for Flaw { error, .. } in flaws.0 {
                    let (at, wrong) = (key(&table, &error), Wrong::TlsFile(error));
                    match (at, &self.upstream) {
                        (None, Some(given)) => section.mistake_whole(&given.at, wrong),
                        (at, _) => table.mistake(at.unwrap_or("ca_file"), wrong),
                    }
                }
                None
            }
        }
    }
}

/// The key that names the file, if one does.
fn key(table: &Section<'_>, error: &FileError) -> Option<&'static str> {
    let names = |key: &&str| {
        table
            .text(key)
            .is_some_and(|path| error.path == Path::new(&path))
    };
    ["ca_file", "cert_file", "key_file"].into_iter().find(names)
}

const BINDINGS: [(&str, Option<ChannelBinding>); 3] = [
    ("disable", Some(ChannelBinding::Disable)),
    ("prefer", Some(ChannelBinding::Prefer)),
    ("require", Some(ChannelBinding::Require)),
];

impl Reader<'_> {
    /// Whether logins are bound to the certificate that the backend shows.
    pub(super) fn channel_binding(&self, section: &Section<'_>) -> ChannelBinding {
        let url = self.upstream.as_ref().map(|given| &given.upstream.tls);
        let default = url.map(|tls| tls.channel_binding).unwrap_or_default();
        let table = section.table("upstream_tls");
        table.choice("channel_binding", &BINDINGS, default)
    }
}

impl Words {
    fn of(section: &Section<'_>) -> Self {
        Self::Table(section.path.to_string())
    }
}

fn authorities(table: &Section<'_>, url: Option<Authorities>, mode: Mode) -> Authorities {
    let written = table.text("ca_file").map(|text| match text.as_str() {
        SYSTEM => Authorities::System,
        path => Authorities::File(PathBuf::from(path)),
    });
    if written.is_some() && !mode.verifies() && mode != Mode::Disable {
        table.mistake("ca_file", Wrong::VerifiesNothing);
    }
    let found = written.or(url).unwrap_or(Authorities::System);
    if mode == Mode::VerifyCa && found == Authorities::System {
        table.mistake("mode", Wrong::AnybodysCertificate);
    }
    found
}

fn identity(table: &Section<'_>, url: Option<IdentityFiles>) -> Option<IdentityFiles> {
    let (certificate, key) = (table.text("cert_file"), table.text("key_file"));
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(IdentityFiles {
            certificate: certificate.into(),
            key: key.into(),
        }),
        (Some(_), None) => {
            let other = "key_file";
            table.mistake("cert_file", Wrong::Alone { other });
            None
        }
        (None, Some(_)) => {
            let other = "cert_file";
            table.mistake("key_file", Wrong::Alone { other });
            None
        }
        (None, None) => url,
    }
}
