//! The backends of a database, and what they may not be together.

use std::{net::IpAddr, path::Path};

use super::{
    load::Given,
    mistake::{Origin, Wrong},
    resolve::{Listener, Reader, is_empty_array},
    section::Section,
    tree::Value,
    units,
};
use crate::auth::Method;
use crate::server::{Database, Listen};
use crate::topology::{Address, Backend, Role};

const KEY: &str = "backends";

impl Reader<'_> {
    pub(super) fn backends(&self, section: &Section<'_>) -> Vec<Backend> {
        if let Some(given) = &self.upstream {
            if section.get(KEY).is_some() {
                let upstream = given.at.clone();
                section.mistake(KEY, Wrong::BackendBesideUpstream { upstream });
            }
            return given.backends(section);
        }
        let written = section.many(KEY);
        if written.is_empty() && section.get(KEY).is_none_or(is_empty_array) {
            let table = section.path.join(KEY).to_string();
            section.mistake_here(Wrong::NoBackend { table });
        }
        let mut found: Vec<Backend> = Vec::new();
        for item in &written {
            let Some(backend) = one_backend(item) else {
                continue;
            };
            let same = |other: &&Backend| other.address == backend.address;
            if found.iter().any(|other| same(&other)) {
                item.mistake("address", Wrong::Duplicate);
                continue;
            }
            let first = found.iter().find(|other| other.role == Role::Primary);
            if let (Role::Primary, Some(first)) = (backend.role, first) {
                let other = first.address.to_string();
                item.mistake("role", Wrong::SecondPrimary { other });
            }
            found.push(backend);
        }
        let follows = |one: &Backend| one.role == Role::Replica;
        // Of what could not be read nobody knows what it would have been.
        if !found.is_empty() && found.len() == written.len() && found.iter().all(follows) {
            section.mistake(KEY, Wrong::NoPrimary);
        }
        found
    }

    pub(super) fn check_against_listeners(
        &self,
        section: &Section<'_>,
        database: Option<&Database>,
        listeners: &[Listener],
    ) {
        let Some(database) = database else { return };
        for (listen, text, at) in listeners {
            if let Listen::Tcp(socket) = listen
                && database.auth.method == Method::Trust
                && !socket.ip().is_loopback()
            {
                let auth = section.path.join("auth").to_string();
                let address = text.clone();
                let wrong = Wrong::OpenTrust { address, auth };
                self.listen.mistake_at(at, "addresses", wrong);
            }
            for backend in database.backends.iter().filter(|one| is(one, listen)) {
                let address = backend.address.to_string();
                let wrong = Wrong::Loop { address };
                match (&self.upstream, item_of(section, backend)) {
                    (Some(given), _) => section.mistake_whole(given.place_of(backend), wrong),
                    (None, Some(item)) => item.mistake("address", wrong),
                    (None, None) => {}
                }
            }
        }
    }
}

impl Given {
    /// Those of the URL, and of `--replica`. The only host of a URL that has replicas beside it is
    /// the primary.
    fn backends(&self, section: &Section<'_>) -> Vec<Backend> {
        let hosts = self.upstream.addresses.iter();
        let role = match (hosts.len(), self.replicas.is_empty()) {
            (1, false) => Role::Primary,
            _ => Role::Auto,
        };
        let backend = |address: &Address, role| Backend {
            address: address.clone(),
            role,
            weight: 1,
        };
        let mut found: Vec<Backend> = hosts.map(|address| backend(address, role)).collect();
        for (at, address) in &self.replicas {
            match found.iter().find(|other| other.address == *address) {
                Some(other) => {
                    let other = self.place_of(other).clone();
                    section.mistake_whole(at, Wrong::BackendTwice { other });
                }
                None => found.push(backend(address, Role::Replica)),
            }
        }
        found
    }

    /// Where a backend was named.
    fn place_of(&self, backend: &Backend) -> &Origin {
        let mut replicas = self.replicas.iter();
        let named = replicas.find(|(_, address)| *address == backend.address);
        match self.upstream.addresses.contains(&backend.address) {
            true => &self.at,
            false => named.map_or(&self.at, |(at, _)| at),
        }
    }
}

/// The table that gave this backend.
fn item_of<'a>(section: &Section<'a>, backend: &Backend) -> Option<Section<'a>> {
    let mut written = section.many(KEY).into_iter();
    written.find(|item| {
        let text = item.text("address");
        let read = text.and_then(|text| units::backend(&text).ok());
        read.as_ref() == Some(&backend.address)
    })
}

fn one_backend(section: &Section<'_>) -> Option<Backend> {
    let roles = [
        ("auto", Some(Role::Auto)),
        ("primary", Some(Role::Primary)),
        ("replica", Some(Role::Replica)),
    ];
    let role = section.choice("role", &roles, Role::Auto);
    let weight = section.count("weight", 1, 1);
    let weight = u32::try_from(weight).unwrap_or_else(|_| {
        section.mistake("weight", Wrong::TooLarge);
        1
    });
    let missing = match section.get("address").map(|node| &node.value) {
        None => true,
        Some(Value::Text(text)) => text.is_empty(),
        Some(_) => false,
    };
    if missing {
        section.mistake("address", Wrong::NoAddress);
        return None;
    }
    let address = section.parsed("address", units::backend)?;
    Some(Backend {
        address,
        role,
        weight,
    })
}

/// True when `backend` is what we listen on.
fn is(backend: &Backend, listen: &Listen) -> bool {
    match (&backend.address, listen) {
        (Address::Tcp { host, port }, Listen::Tcp(socket)) => {
            let ours = socket.ip();
            let same = match host.parse::<IpAddr>() {
                Ok(ip) => ip == ours || (ours.is_unspecified() && ip.is_loopback()),
                Err(_) => host == "localhost" && (ours.is_loopback() || ours.is_unspecified()),
            };
            same && *port == socket.port()
        }
        (
            Address::Unix { folder, port },
            Listen::Unix {
                folder: ours,
                port: own,
            },
        ) => Path::new(folder) == ours && port == own,
        (Address::Tcp { .. } | Address::Unix { .. }, Listen::Tcp(_) | Listen::Unix { .. }) => false,
    }
}
