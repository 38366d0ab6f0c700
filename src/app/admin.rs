//! Wires the admin's HTTP to what it tells of.

use std::rc::Rc;

use sha2::{Digest, Sha256};
use tokio::task::spawn_local;

use super::primaries::Primaries;
use crate::admin::{
    http::{self, Subject},
    metrics::{self, Process},
};
use crate::config::{AdminAddress, Config};
use crate::server::Door;

/// The admin's HTTP, not open yet.
pub struct Admin {
    address: Option<AdminAddress>,
    process: Process,
    primaries: Primaries,
}

impl Admin {
    pub fn new(config: &Config) -> Self {
        Self {
            address: config.admin.address,
            process: Process {
                version: env!("CARGO_PKG_VERSION"),
                config_hash: hash(config),
            },
            primaries: Primaries::new(config),
        }
    }

    /// Listens, if it is to. An address that cannot be had costs a warning and no more: the
    /// application's traffic matters more.
    pub fn open(self, door: &Door) {
        let Some(shown) = self.address else {
            return;
        };
        let listener = match http::bind(shown.ip, shown.port) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(
                    "no metrics and no probes: cannot listen on {shown}: {error}; choose another address with --admin or admin.address, or switch it off with \"\""
                );
                return;
            }
        };
        if let Ok(address) = listener.local_addr() {
            tracing::info!("metrics and probes on {address}");
        }
        let told = Rc::new(Told {
            door: door.clone(),
            process: self.process,
            primaries: Rc::new(self.primaries),
        });
        spawn_local(async move {
            if let Err(error) = http::serve(listener, told).await {
                tracing::warn!("no metrics and no probes: {error}");
            }
        });
    }
}

/// What a running ambassador tells of itself.
struct Told {
    door: Door,
    process: Process,
    primaries: Rc<Primaries>,
}

impl Subject for Told {
    fn unready(&self) -> Option<String> {
        // Who can ask is served by a process that is configured and listens.
        self.door.is_leaving().then(|| "shutting down".to_owned())
    }

    async fn without_primary(&self) -> Vec<String> {
        self.primaries.missing(self.door.fleets()).await
    }

    async fn metrics(&self) -> String {
        let (history, census) = (self.door.history(), self.door.census().await);
        let (papers, fleets) = (self.door.papers(), self.door.fleets());
        metrics::render(&self.process, history, census, papers, fleets).await
    }
}

/// Over all settings as they are understood, so that comments and the order of a file do not
/// count. A secret shows in them only as one.
fn hash(config: &Config) -> u64 {
    let settings = format!(
        "{:?}",
        (&config.server, &config.log, &config.admin, &config.health)
    );
    let digest = Sha256::digest(settings.as_bytes());
    let front = digest.iter().take(6);
    front.fold(0, |hash, &byte| hash << 8 | u64::from(byte))
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a failed step is a failed test"
)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::{self, Cli, Command, World};

    fn hash_of(words: &[&str]) -> u64 {
        let all = ["pg-ambassador"].iter().chain(words);
        let Command::Run(run) = Cli::try_parse_from(all).unwrap().into_command() else {
            panic!("not a run");
        };
        let world = World {
            variable: &|_| None,
            cpus: 2,
        };
        hash(&config::load(&run, &world).unwrap())
    }

    #[test]
    fn the_hash_is_the_settings_and_not_the_secrets() {
        let one = hash_of(&["--upstream", "postgres://a:one@b/c"]);
        assert!(one > 0 && one < 1 << 53);
        assert_eq!(hash_of(&["--upstream", "postgres://a:other@b/c"]), one);
        for other in [
            &["--upstream", "postgres://a:one@b/c", "--pool-size", "3"][..],
            &["--upstream", "postgres://a:one@b/c", "--log-level", "debug"],
            &["--upstream", "postgres://a:one@d/c"],
        ] {
            assert_ne!(hash_of(other), one, "{other:?}");
        }
    }
}
