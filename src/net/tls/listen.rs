//! TLS as we offer it to clients.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring::Ticketer,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    sign::SingleCertAndKey,
};

use super::{
    ALPN, Authorities, FileError, Flaw, Flaws, Identity, IdentityFiles, Papers, PapersFile,
    Unusable, end_point,
    identity::{certificates_in, key_in},
    provider,
    trust::Trust,
};

/// The keys of `[listen]` that name files.
pub const CERTIFICATE: &str = "tls_cert_file";
pub const KEY: &str = "tls_key_file";
pub const CLIENT_CA: &str = "tls_client_ca_file";

/// TLS for new clients.
#[derive(Debug)]
pub struct Offer {
    pub settings: Arc<ServerConfig>,
    /// What a login can be bound to; see [`end_point`].
    pub end_point: Option<Vec<u8>>,
}

/// Reads what we show to clients, and whose certificates we believe; a client need not show one.
///
/// # Errors
/// All that is wrong with the files.
pub fn listen(
    table: String,
    identity: IdentityFiles,
    client_ca: Option<PathBuf>,
) -> Result<Papers<Offer>, Flaws> {
    let file = |key, path: &PathBuf, shown| PapersFile {
        key,
        path: path.clone(),
        shown,
    };
    let mut files = vec![
        file(CERTIFICATE, &identity.certificate, true),
        file(KEY, &identity.key, false),
    ];
    files.extend(client_ca.as_ref().map(|path| file(CLIENT_CA, path, true)));
    let make = move || settings(&identity, client_ca.as_ref());
    Papers::new(table, files, make)
}

fn settings(files: &IdentityFiles, ca: Option<&PathBuf>) -> Result<Arc<Offer>, Flaws> {
    let identity = identity(files);
    let roots = ca.map(|path| {
        let trust = Trust::load(&Authorities::File(path.clone()));
        trust
            .map(|trust| trust.roots)
            .map_err(|error| flaw(CLIENT_CA, error))
    });
    match (identity, roots.transpose()) {
        (Ok(identity), Ok(roots)) => build(&identity, roots)
            .map(|settings| {
                let settings = Arc::new(settings);
                let certificate = identity.certificates().first();
                let end_point = certificate.and_then(|one| end_point(one));
                Arc::new(Offer {
                    settings,
                    end_point,
                })
            })
            .map_err(|why| Flaws(vec![flaw(CERTIFICATE, FileError::impossible(why))])),
        (Ok(_), Err(flaw)) => Err(Flaws(vec![flaw])),
        (Err(flaws), Ok(_)) => Err(flaws),
        (Err(mut flaws), Err(flaw)) => {
            flaws.0.push(flaw);
            Err(flaws)
        }
    }
}

/// As [`Identity::load`], but says what is wrong with both files.
fn identity(files: &IdentityFiles) -> Result<Identity, Flaws> {
    let flaws: Vec<Flaw> = [
        certificates_in(&files.certificate)
            .err()
            .map(|error| flaw(CERTIFICATE, error)),
        key_in(&files.key).err().map(|error| flaw(KEY, error)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !flaws.is_empty() {
        return Err(Flaws(flaws));
    }
    Identity::load(files, &provider()).map_err(|error| {
        let of_key = matches!(error.why, Unusable::BadKey(_) | Unusable::OtherKey { .. });
        Flaws(vec![flaw(if of_key { KEY } else { CERTIFICATE }, error)])
    })
}

fn flaw(key: &'static str, error: FileError) -> Flaw {
    Flaw { key, error }
}

/// From TLS 1.2 on, as Postgres.
///
/// A client may resume an earlier session by a ticket, which costs no memory here. Not where
/// certificates of clients are believed: what a ticket says was true when it was given, and the
/// authority may have been taken from the file since, or the certificate have run out.
fn build(identity: &Identity, roots: Option<RootCertStore>) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions()?;
    let asks = roots.is_some();
    let builder = match roots {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            let verifier = verifier.allow_unauthenticated().build();
            let verifier = verifier.map_err(|why| rustls::Error::General(why.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let resolver = SingleCertAndKey::from(identity.certified());
    let mut settings = builder.with_cert_resolver(Arc::new(resolver));
    settings.alpn_protocols = vec![ALPN.to_vec()];
    settings.session_storage = Arc::new(NoServerSessionStorage {});
    settings.send_tls13_tickets = 0;
    if !asks {
        settings.ticketer = Ticketer::new()?;
        settings.send_tls13_tickets = 1;
    }
    Ok(settings)
}
