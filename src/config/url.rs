//! A connection URL as libpq reads it (PostgreSQL documentation, "Connection URIs").
//! Never shows its password: not in an error, not in a log line.

use core::fmt;
use std::{path::PathBuf, time::Duration};

use thiserror::Error;

use super::{
    mistake::{Origin, Warning},
    passfile::{self, Wanted},
    tree::Variable,
    url_hosts as hosts,
    url_tls::{self, UrlTls},
};
use crate::auth::Secret;
use crate::backend::Keepalive;
use crate::topology::Address;

/// What a URL says of the Postgres behind it.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// At least one; with several it is open which is the primary.
    pub addresses: Vec<Address>,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub dbname: Option<String>,
    /// Zero: no limit; `None`: not said.
    pub connect_timeout: Option<Duration>,
    pub keepalive: Keepalive,
    pub tls: UrlTls,
    /// `application_name` and `options`.
    pub startup: Vec<(String, String)>,
}

impl fmt::Display for Upstream {
    /// The URL as a log may show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        for (index, address) in self.addresses.iter().enumerate() {
            let between = if index > 0 { "," } else { "" };
            write!(f, "{between}{address}")?;
        }
        match &self.dbname {
            Some(dbname) => write!(f, "/{dbname}"),
            None => Ok(()),
        }
    }
}

/// What can be wrong with a URL. A torn one may have its password anywhere,
/// so nothing of it is shown but the names of parameters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UrlWrong {
    #[error("the URL has to begin with postgres:// or postgresql://")]
    Scheme,
    #[error("the URL names no host, e.g. postgres://app:secret@db.internal:5432/app")]
    NoHost,
    #[error("the host is torn; within a user or password, {ESCAPES}")]
    Host,
    #[error("there are neither as many ports as hosts nor one for all of them")]
    Ports,
    #[error("names a host a second time")]
    SameHost,
    #[error("the port is not a number from 1 to 65535; within a user or password, {ESCAPES}")]
    Port,
    #[error("a % has to be followed by two hexadecimal digits, and not by 00; a plain % is %25")]
    Percent,
    #[error("a parameter after the ? has no =")]
    Parameter,
    #[error("the parameter {name} is not a whole number")]
    Number { name: &'static str },
    #[error("sslmode has to be disable | allow | prefer | require | verify-ca | verify-full")]
    SslMode,
    #[error(
        "sslrootcert=system needs sslmode=verify-full: any public authority's certificate would do"
    )]
    WeakSystem,
    #[error(
        "sslmode=verify-ca needs sslrootcert=FILE: any public authority's certificate would do"
    )]
    NoRootCert,
    #[error("sslcert and sslkey belong together")]
    HalfIdentity,
    #[error("sslnegotiation has to be postgres | direct")]
    SslNegotiation,
    #[error("sslnegotiation=direct needs sslmode=require | verify-ca | verify-full")]
    DirectNeedsTls,
    #[error("channel_binding has to be disable | prefer | require")]
    ChannelBinding,
    #[error("ssl_min_protocol_version has to be TLSv1.2 | TLSv1.3")]
    MinVersion,
}

const ESCAPES: &str = "write / as %2F, @ as %40, : as %3A and % as %25";

/// Reads `text`; what the URL leaves open comes from PGPASSWORD and libpq's password file.
pub fn parse(
    text: &str,
    at: &Origin,
    variable: Variable<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Upstream, Vec<UrlWrong>> {
    let mut parts = Parts::default();
    let mut wrong = Vec::new();
    parts.split(text).unwrap_or_else(|slip| wrong.push(slip));
    let mut number = |name, value: &Option<String>| {
        let value = value.as_ref()?;
        let number = value.trim().parse::<i64>().ok();
        if number.is_none() {
            wrong.push(UrlWrong::Number { name });
        }
        number
    };
    let connect_timeout = number("connect_timeout", &parts.connect_timeout).map(seconds);
    let keepalive = Keepalive {
        enabled: number("keepalives", &parts.keepalives).is_none_or(|on| on != 0),
        idle: number("keepalives_idle", &parts.keepalives_idle).and_then(positive_seconds),
        interval: number("keepalives_interval", &parts.keepalives_interval)
            .and_then(positive_seconds),
        count: number("keepalives_count", &parts.keepalives_count)
            .and_then(|count| u32::try_from(count).ok())
            .filter(|count| *count > 0),
        user_timeout: number("tcp_user_timeout", &parts.tcp_user_timeout)
            .and_then(|millis| u64::try_from(millis).ok())
            .filter(|millis| *millis > 0)
            .map(Duration::from_millis),
    };
    let tls = parts.tls.read(&mut wrong);
    let addresses = match hosts::addresses(parts.host.as_deref(), parts.port.as_deref()) {
        Ok(addresses) => addresses,
        Err(slip) => {
            // What could not be split has told its mistake already.
            if wrong.is_empty() || slip != UrlWrong::NoHost {
                wrong.push(slip);
            }
            return Err(wrong);
        }
    };
    if !wrong.is_empty() {
        return Err(wrong);
    }
    parts.warn(at, warnings);
    let first = addresses.first();
    let password = first.and_then(|first| parts.find_password(first, variable, warnings));
    let pair = |name: &str, value: Option<String>| Some((name.to_owned(), value?));
    Ok(Upstream {
        addresses,
        user: parts.user,
        password,
        dbname: parts.dbname,
        connect_timeout,
        keepalive,
        tls,
        startup: [
            pair("application_name", parts.application_name),
            pair("options", parts.options),
        ]
        .into_iter()
        .flatten()
        .collect(),
    })
}

/// libpq: zero and below mean for ever.
fn seconds(number: i64) -> Duration {
    Duration::from_secs(u64::try_from(number).unwrap_or(0))
}

fn positive_seconds(number: i64) -> Option<Duration> {
    Some(seconds(number)).filter(|time| !time.is_zero())
}

/// The pieces, decoded; an empty one is none. A parameter overrides what stands before the `?`.
#[derive(Default)]
struct Parts {
    user: Option<String>,
    password: Option<String>,
    host: Option<String>,
    port: Option<String>,
    dbname: Option<String>,
    tls: url_tls::Written,
    connect_timeout: Option<String>,
    application_name: Option<String>,
    options: Option<String>,
    passfile: Option<String>,
    keepalives: Option<String>,
    keepalives_idle: Option<String>,
    keepalives_interval: Option<String>,
    keepalives_count: Option<String>,
    tcp_user_timeout: Option<String>,
    ignored: Vec<String>,
}

impl Parts {
    fn split(&mut self, text: &str) -> Result<(), UrlWrong> {
        let rest = after_scheme(text).ok_or(UrlWrong::Scheme)?;
        // As libpq looks for it: an @ before the first slash ends the user's part.
        let slash = rest.find('/').unwrap_or(rest.len());
        let (head, _) = rest.split_at_checked(slash).unwrap_or((rest, ""));
        let rest = match head.split_once('@') {
            Some((login, _)) => {
                self.split_login(login)?;
                rest.split_once('@').map_or("", |(_, rest)| rest)
            }
            None => rest,
        };
        let (place, query) = match rest.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (rest, None),
        };
        let (net, dbname) = match place.split_once('/') {
            Some((net, dbname)) => (net, Some(dbname)),
            None => (place, None),
        };
        // An @ here is the end of a login whose password has a plain slash in it.
        if dbname.is_some_and(|dbname| dbname.contains('@')) {
            return Err(UrlWrong::Host);
        }
        self.split_net(net)?;
        self.dbname = dbname.map(decode).transpose()?.and_then(some);
        query.map_or(Ok(()), |query| self.split_query(query))
    }

    fn split_login(&mut self, login: &str) -> Result<(), UrlWrong> {
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        self.user = some(decode(user)?);
        self.password = password.map(decode).transpose()?.and_then(some);
        Ok(())
    }

    fn split_net(&mut self, net: &str) -> Result<(), UrlWrong> {
        let (hosts, ports) = hosts::split(net)?;
        self.host = some(decode(&hosts)?);
        self.port = some(decode(&ports)?);
        Ok(())
    }

    fn split_query(&mut self, query: &str) -> Result<(), UrlWrong> {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(UrlWrong::Parameter)?;
            self.set(decode(name)?, decode(value)?);
        }
        Ok(())
    }

    fn set(&mut self, name: String, value: String) {
        let place = match name.as_str() {
            "user" => &mut self.user,
            "password" => &mut self.password,
            "host" => &mut self.host,
            "port" => &mut self.port,
            "dbname" => &mut self.dbname,
            "connect_timeout" => &mut self.connect_timeout,
            "application_name" => &mut self.application_name,
            "options" => &mut self.options,
            "passfile" => &mut self.passfile,
            "keepalives" => &mut self.keepalives,
            "keepalives_idle" => &mut self.keepalives_idle,
            "keepalives_interval" => &mut self.keepalives_interval,
            "keepalives_count" => &mut self.keepalives_count,
            "tcp_user_timeout" => &mut self.tcp_user_timeout,
            // JDBC's and asyncpg's word for sslmode: ignored, it would drop encryption unsaid.
            "ssl" => {
                self.tls.sslmode = Some(match value.as_str() {
                    "true" | "1" => "require".to_owned(),
                    "false" | "0" => "disable".to_owned(),
                    _ => value,
                });
                return;
            }
            other => match self.tls.place(other) {
                Some(place) => place,
                None => {
                    self.ignored.push(name);
                    return;
                }
            },
        };
        *place = some(value);
    }

    fn warn(&mut self, at: &Origin, warnings: &mut Vec<Warning>) {
        if !self.ignored.is_empty() {
            self.ignored.sort();
            self.ignored.dedup();
            let names = std::mem::take(&mut self.ignored);
            let at = at.clone();
            warnings.push(Warning::IgnoredParameters { at, names });
        }
    }

    fn find_password(
        &mut self,
        address: &Address,
        variable: Variable<'_>,
        warnings: &mut Vec<Warning>,
    ) -> Option<Secret> {
        let given = self.password.take();
        if let Some(password) = given.or_else(|| variable("PGPASSWORD").and_then(some)) {
            return Some(Secret::new(password));
        }
        let at_home = || Some(PathBuf::from(some(variable("HOME")?)?).join(".pgpass"));
        let named = self.passfile.take();
        let named = named.or_else(|| variable("PGPASSFILE").and_then(some));
        let path = named.map(PathBuf::from).or_else(at_home)?;
        let user = self.user.as_deref().unwrap_or_default();
        let wanted = Wanted {
            host: passfile_host(address),
            port: address.port(),
            // libpq: a database without a name is the user's.
            database: self.dbname.as_deref().unwrap_or(user),
            user,
        };
        passfile::find(&path, &wanted, warnings)
    }
}

/// libpq: `localhost` in the password file stands for the default socket folders.
fn passfile_host(address: &Address) -> &str {
    match address {
        Address::Tcp { host, .. } => host,
        Address::Unix { folder, .. } => match folder.as_str() {
            "/tmp" | "/var/run/postgresql" => "localhost",
            folder => folder,
        },
    }
}

/// `postgres`, `postgresql`, each also with `+driver`.
fn after_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.trim().split_once("://")?;
    let base = scheme.split_once('+').map_or(scheme, |(base, _)| base);
    let known = ["postgres", "postgresql"];
    known
        .iter()
        .any(|name| base.eq_ignore_ascii_case(name))
        .then_some(rest)
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Percent-decoding; a `+` stays what it is.
fn decode(text: &str) -> Result<String, UrlWrong> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            let digit = char::from(rest.next()?).to_digit(16)?;
            u8::try_from(digit).ok()
        };
        let (high, low) = (digit(), digit());
        match (high, low) {
            (Some(0), Some(0)) | (None, _) | (_, None) => return Err(UrlWrong::Percent),
            (Some(high), Some(low)) => bytes.push(high << 4 | low),
        }
    }
    String::from_utf8(bytes).map_err(|_| UrlWrong::Percent)
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
