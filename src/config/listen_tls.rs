//! TLS with clients: the `tls_…` keys of `[listen]`.

use std::{path::PathBuf, sync::Arc};

use super::{mistake::Wrong, section::Section, tree::Value};
use crate::auth::Method;
use crate::net::tls::{self, CERTIFICATE, CLIENT_CA, IdentityFiles, KEY};
use crate::server::{Database, Tls, TlsDemand};

const MODE: &str = "tls_mode";
const OFF: &str = "disable";

/// `None`: switched off, or a mistake that has been noted.
pub fn tls(listen: &Section<'_>) -> Option<Tls> {
    let modes = [
        (OFF, Some(None)),
        ("allow", Some(Some(TlsDemand::Allow))),
        ("require", Some(Some(TlsDemand::Require))),
        ("verify-client", Some(Some(TlsDemand::VerifyClient))),
    ];
    let demand = listen.choice(MODE, &modes, None);
    let [certificate, key, client_ca] =
        [CERTIFICATE, KEY, CLIENT_CA].map(|key| listen.text(key).map(PathBuf::from));
    let Some(demand) = demand else {
        for key in [CERTIFICATE, KEY, CLIENT_CA] {
            if is_off(listen) && is_given(listen, key) {
                let (other, value) = (format!("listen.{MODE}"), OFF);
                listen.mistake(key, Wrong::OfNoUse { other, value });
            }
        }
        return None;
    };
    let asks = demand == TlsDemand::VerifyClient;
    for key in [CERTIFICATE, KEY, CLIENT_CA] {
        if !is_given(listen, key) && (key != CLIENT_CA || asks) {
            let other = format!("listen.{key}");
            listen.mistake(MODE, Wrong::Needs { other });
        }
    }
    let (certificate, key) = certificate.zip(key)?;
    let identity = IdentityFiles { certificate, key };
    match tls::listen(listen.path.to_string(), identity, client_ca) {
        Ok(papers) => Some(Tls {
            demand,
            papers: Arc::new(papers),
        }),
        Err(flaws) => {
            for flaw in flaws.0 {
                listen.mistake(flaw.key, Wrong::TlsFile(flaw.error));
            }
            None
        }
    }
}

/// A certificate can only be believed where it is asked for.
pub fn check_method(listen: &Section<'_>, section: &Section<'_>, database: &Database) {
    if database.auth.method != Method::Cert {
        return;
    }
    let auth = section.table("auth");
    if is_off(listen) {
        let other = format!("listen.{MODE} = \"allow\" or stronger");
        auth.mistake("method", Wrong::Needs { other });
    } else if !is_given(listen, CLIENT_CA) {
        let other = format!("listen.{CLIENT_CA}");
        auth.mistake("method", Wrong::Needs { other });
    }
}

/// Whether there is no TLS because nobody asks for it.
fn is_off(listen: &Section<'_>) -> bool {
    match listen.get(MODE).map(|node| &node.value) {
        None => true,
        Some(Value::Text(text)) => text == OFF,
        Some(_) => false,
    }
}

/// Whether a file is named, be it rightly or not.
fn is_given(listen: &Section<'_>, key: &str) -> bool {
    match listen.get(key).map(|node| &node.value) {
        None => false,
        Some(Value::Text(text)) => !text.is_empty(),
        Some(_) => true,
    }
}
