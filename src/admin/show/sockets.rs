//! SHOW CLIENTS, SHOW SERVERS and SHOW PINS.

use std::{collections::HashMap, time::Instant};

use super::{
    super::{
        House,
        table::{Cell, Column, Row, number, text},
    },
    Facts, time,
};
use crate::net::{End, Ends};
use crate::pool::{self, ConnectionView};
use crate::session::{Phase, SessionId, View};

pub const COLUMNS: &[Column] = &[
    text("type"),
    text("user"),
    text("database"),
    text("replication"),
    text("state"),
    text("addr"),
    number("port"),
    text("local_addr"),
    number("local_port"),
    text("connect_time"),
    text("request_time"),
    number("wait"),
    number("wait_us"),
    number("close_needed"),
    text("ptr"),
    text("link"),
    number("remote_pid"),
    text("tls"),
    text("application_name"),
    number("prepared_statements"),
    number("id"),
    text("pinned"),
];

pub const PINS: &[Column] = &[
    number("client"),
    text("user"),
    text("database"),
    text("application_name"),
    number("remote_pid"),
    text("reason"),
    text("since"),
    number("seconds"),
    text("fingerprint"),
];

/// Sessions, and the connections that they hold.
struct Links<'a> {
    servers: HashMap<SessionId, &'a ConnectionView>,
    clients: HashMap<SessionId, &'a View>,
}

impl<'a> Links<'a> {
    fn of(facts: &'a Facts<'_, impl House>) -> Self {
        let reports = facts.reports.iter();
        let servers = reports.clone().flat_map(|report| &report.pools);
        let servers = servers.flat_map(|pool| &pool.connections);
        let clients = reports.flat_map(|report| &report.clients);
        Self {
            servers: servers
                .filter_map(|server| Some((server.holder?, server)))
                .collect(),
            clients: clients.map(|client| (client.id, client)).collect(),
        }
    }
}

pub fn clients(facts: &Facts<'_, impl House>) -> Vec<Row> {
    let links = Links::of(facts);
    let mut rows = Vec::new();
    for report in &facts.reports {
        let row = |client| of_a_client(client, &links, report.now);
        rows.extend(report.clients.iter().map(row));
    }
    rows
}

fn of_a_client(client: &View, links: &Links<'_>, now: Instant) -> Row {
    let link = links.servers.get(&client.id);
    let state = match client.phase {
        Phase::Waiting => "waiting",
        Phase::Active | Phase::InTransaction => "active",
        // Who keeps a connection is linked to it.
        Phase::Idle if link.is_some() => "active",
        Phase::Idle => "idle",
    };
    let wait = match client.phase {
        Phase::Waiting => now.saturating_duration_since(client.since),
        Phase::Active | Phase::InTransaction | Phase::Idle => std::time::Duration::ZERO,
    };
    vec![
        "C".into(),
        client.user.clone().into(),
        client.database.clone().into(),
        "none".into(),
        state.into(),
        host(client.ends.peer).into(),
        port(client.ends.peer).into(),
        host(client.ends.local).into(),
        port(client.ends.local).into(),
        time::written(client.begun).into(),
        time::written(client.since).into(),
        wait.as_secs().into(),
        u64::from(wait.subsec_micros()).into(),
        false.into(),
        client_mark(client.id).into(),
        link.map_or_else(String::new, |server| server_mark(server.id))
            .into(),
        0_usize.into(),
        spoken(client.ends).into(),
        client.application.clone().into(),
        client.prepared.into(),
        client.id.into(),
        client.pinned.map(|pin| pin.reason).into(),
    ]
}

pub fn servers(facts: &Facts<'_, impl House>) -> Vec<Row> {
    let links = Links::of(facts);
    let pools = facts.reports.iter().flat_map(|report| &report.pools);
    let rows = pools.flat_map(|pool| {
        let row = |server| of_a_server(server, pool, &links);
        pool.connections.iter().map(row).collect::<Vec<_>>()
    });
    rows.collect()
}

fn of_a_server(server: &ConnectionView, pool: &pool::View, links: &Links<'_>) -> Row {
    let link = server.holder.and_then(|holder| links.clients.get(&holder));
    let request = link.map(|client| client.since).or(server.idle_since);
    let state = if server.idle { "idle" } else { "active" };
    let pinned = link.and_then(|client| client.pinned);
    vec![
        "S".into(),
        String::from_utf8_lossy(&pool.key.user).into_owned().into(),
        pool.name.clone().into(),
        "none".into(),
        state.into(),
        host(server.ends.peer).into(),
        port(server.ends.peer).into(),
        host(server.ends.local).into(),
        port(server.ends.local).into(),
        time::written(server.since).into(),
        time::written(request.unwrap_or(server.since)).into(),
        0_usize.into(),
        0_usize.into(),
        server.outdated.into(),
        server_mark(server.id).into(),
        link.map_or_else(String::new, |client| client_mark(client.id))
            .into(),
        Cell::Number(server.pid.into()),
        spoken(server.ends).into(),
        link.map_or_else(String::new, |client| client.application.clone())
            .into(),
        server.prepared.into(),
        server.id.into(),
        pinned
            .map(|pin| pin.reason)
            .filter(|_| server.pinned)
            .into(),
    ]
}

/// Who keeps a connection beyond the transaction, since when and why.
pub fn pins(facts: &Facts<'_, impl House>) -> Vec<Row> {
    let links = Links::of(facts);
    let mut rows = Vec::new();
    for report in &facts.reports {
        for client in &report.clients {
            let Some(pin) = client.pinned else {
                continue;
            };
            let server = links.servers.get(&client.id);
            let age = report.now.saturating_duration_since(pin.since);
            rows.push(vec![
                client.id.into(),
                client.user.clone().into(),
                client.database.clone().into(),
                client.application.clone().into(),
                server.map(|server| Cell::Number(server.pid.into())).into(),
                pin.reason.into(),
                time::written(pin.since).into(),
                age.as_secs().into(),
                pin.print.map(|print| print.to_string()).into(),
            ]);
        }
    }
    rows
}

/// What stands for PgBouncer's pointers: it names one end in the other's `link`.
fn client_mark(id: u64) -> String {
    format!("c{id}")
}

fn server_mark(id: u64) -> String {
    format!("s{id}")
}

/// The version and the cipher of TLS, `""` where there is none.
fn spoken(ends: Ends) -> String {
    ends.tls.map_or_else(String::new, |tls| tls.to_string())
}

fn host(end: End) -> String {
    match end {
        End::Tcp(address) => address.ip().to_canonical().to_string(),
        End::Unix => "unix".to_owned(),
        End::Unknown => String::new(),
    }
}

fn port(end: End) -> u16 {
    match end {
        End::Tcp(address) => address.port(),
        End::Unix | End::Unknown => 0,
    }
}
