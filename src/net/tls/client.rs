//! Our side of TLS where we are the client: whom we believe, and who we are.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, SupportedProtocolVersion,
    client::Resumption,
    pki_types::{IpAddr as NameIp, ServerName},
    sign::SingleCertAndKey,
    version::TLS13,
};
use tokio::net::TcpStream;

use super::{
    ALPN, FileError, Flaw, Flaws, HandshakeError, Identity, IdentityFiles, Papers, PapersFile, Tls,
    handshake, provider, trust::Trust, verify::Verifier,
};

/// What a server has to show, as libpq's `sslmode` (but `allow`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Mode {
    /// No TLS.
    Disable,
    /// TLS where the server has it; anybody is believed.
    #[default]
    Prefer,
    /// TLS; anybody is believed.
    Require,
    /// A certificate of an authority that we believe.
    VerifyCa,
    /// One that is for the server's name, too.
    VerifyFull,
}

impl Mode {
    /// Whether it is proven that nobody but the holder of a believed certificate is there.
    pub fn verifies(self) -> bool {
        self >= Self::VerifyCa
    }
}

/// Whom we believe.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Authorities {
    /// Those that the system trusts.
    System,
    /// Those of a PEM file.
    File(PathBuf),
}

/// The oldest TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MinVersion {
    #[default]
    Tls12,
    Tls13,
}

/// Servers whose TLS sessions are remembered.
const RESUMABLE: usize = 64;

static TLS13_ALONE: &[&SupportedProtocolVersion] = &[&TLS13];

impl MinVersion {
    /// As rustls takes it.
    pub fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls12 => rustls::DEFAULT_VERSIONS,
            Self::Tls13 => TLS13_ALONE,
        }
    }
}

/// TLS as a client, as plain values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientSettings {
    pub mode: Mode,
    /// Asked where the mode verifies.
    pub authorities: Authorities,
    pub identity: Option<IdentityFiles>,
    pub min_version: MinVersion,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            authorities: Authorities::System,
            identity: None,
            min_version: MinVersion::default(),
        }
    }
}

/// How the configuration calls the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    pub authorities: &'static str,
    pub certificate: &'static str,
    pub key: &'static str,
}

impl Default for Keys {
    /// Those of `upstream_tls`.
    fn default() -> Self {
        Self {
            authorities: "ca_file",
            certificate: "cert_file",
            key: "key_file",
        }
    }
}

/// TLS as a client, with its files read, and read anew when they change. Shared by all who dial: they take up each other's
/// TLS sessions.
#[derive(Debug)]
pub struct Client {
    settings: ClientSettings,
    papers: Arc<Papers<ClientConfig>>,
}

impl Client {
    /// Reads the files.
    ///
    /// # Errors
    /// Names each file that cannot be used, and why.
    pub fn load(settings: ClientSettings) -> Result<Self, Flaws> {
        Self::load_as(settings, "upstream_tls".to_owned(), Keys::default())
    }

    /// The same of files that this table of the configuration names by these keys.
    ///
    /// # Errors
    /// As [`Client::load`].
    pub fn load_as(settings: ClientSettings, table: String, keys: Keys) -> Result<Self, Flaws> {
        let files = files(&settings, keys);
        let again = (settings.clone(), files.clone());
        let papers = Papers::new(table, files, move || {
            let (settings, files) = &again;
            let config = config(settings).map_err(|errors| flaws(errors, files))?;
            Ok(Arc::new(config))
        })?;
        Ok(Self {
            settings,
            papers: Arc::new(papers),
        })
    }

    /// What the files hold, and how they are looked after.
    pub fn papers(&self) -> &Arc<Papers<ClientConfig>> {
        &self.papers
    }

    pub fn settings(&self) -> &ClientSettings {
        &self.settings
    }

    /// Begins TLS on a socket to the server of this name.
    ///
    /// # Errors
    /// See [`HandshakeError`]. In TLS 1.3 a server that does not like our certificate says so
    /// later, at the first read: [`super::in_error`] finds it. Cancel safe: a dropped call
    /// closes the socket.
    pub async fn connect(&self, socket: TcpStream, name: &str) -> Result<Tls, HandshakeError> {
        let name = match ServerName::try_from(name.to_owned()) {
            Ok(name) => name,
            // Nothing is compared with it, and an address is not sent.
            Err(_) if self.settings.mode < Mode::VerifyFull => {
                let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
                ServerName::IpAddress(NameIp::from(nowhere))
            }
            Err(error) => {
                let error = io::Error::new(io::ErrorKind::InvalidInput, error);
                return Err(HandshakeError::Lost(error));
            }
        };
        handshake::connect(socket, self.papers.settings(), name).await
    }
}

fn files(settings: &ClientSettings, keys: Keys) -> Vec<PapersFile> {
    let file = |key, path: &Path, shown| PapersFile {
        key,
        path: path.to_owned(),
        shown,
    };
    let mut files = Vec::new();
    if let (true, Authorities::File(path)) = (settings.mode.verifies(), &settings.authorities) {
        files.push(file(keys.authorities, path, true));
    }
    if let Some(identity) = &settings.identity {
        files.push(file(keys.certificate, &identity.certificate, true));
        files.push(file(keys.key, &identity.key, false));
    }
    files
}

fn flaws(errors: Vec<FileError>, files: &[PapersFile]) -> Flaws {
    let flaw = |error: FileError| {
        let file = files.iter().find(|file| file.path == error.path);
        Flaw {
            key: file.map_or("", |file| file.key),
            error,
        }
    };
    Flaws(errors.into_iter().map(flaw).collect())
}

fn config(settings: &ClientSettings) -> Result<ClientConfig, Vec<FileError>> {
    let provider = provider();
    let trust = match settings.mode.verifies() {
        true => Trust::load(&settings.authorities),
        false => Ok(Trust::default()),
    };
    let identity = settings.identity.as_ref();
    let identity = identity.map(|files| Identity::load(files, &provider));
    let (trust, identity) = match (trust, identity.transpose()) {
        (Ok(trust), Ok(identity)) => (trust, identity),
        (trust, identity) => {
            return Err([trust.err(), identity.err()]
                .into_iter()
                .flatten()
                .collect());
        }
    };
    let verifier = Verifier::new(
        settings.mode,
        trust,
        provider.signature_verification_algorithms,
    );
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(settings.min_version.versions())
        .map_err(|error| vec![FileError::impossible(error)])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity {
        Some(identity) => {
            let identity = SingleCertAndKey::from(identity.certified());
            builder.with_client_cert_resolver(Arc::new(identity))
        }
        None => builder.with_no_client_auth(),
    };
    // As libpq does it: a server that does not know of it takes no notice.
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::in_memory_sessions(RESUMABLE);
    Ok(config)
}
