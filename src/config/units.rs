//! Durations, sizes and addresses as people write them.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use super::mistake::Wrong;
use crate::server::Listen;
use crate::topology::Address;

/// Postgres' own port.
pub const PORT: u16 = 5432;

/// A hundred years: enough for every limit, and sums with a clock cannot overflow.
const LONGEST: Duration = Duration::from_secs(36_500 * 24 * 3600);

/// `15s`, `500ms`, `2m`, `1h`, `7d`; `0` needs no unit.
pub fn duration(text: &str) -> Result<Duration, Wrong> {
    let (number, unit) = split(text);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" if is_zero(number) => 1,
        _ => {
            return Err(malformed(
                "a duration like \"15s\" (ms, s, m, h or d)",
                text,
            ));
        }
    };
    let number: Option<u64> = parse_number(number);
    let Some(number) = number else {
        return Err(malformed(
            "a duration like \"15s\" (ms, s, m, h or d)",
            text,
        ));
    };
    let whole = number.checked_mul(millis).map(Duration::from_millis);
    whole
        .filter(|whole| *whole <= LONGEST)
        .ok_or(Wrong::TooLong)
}

/// Bytes of `512B`, `64KiB`, `16MiB`, `1GiB`; `0` needs no unit.
pub fn size(text: &str) -> Result<u64, Wrong> {
    let (number, unit) = split(text);
    let bytes: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "" if is_zero(number) => 1,
        _ => {
            return Err(malformed(
                "a size like \"64MiB\" (B, KiB, MiB or GiB)",
                text,
            ));
        }
    };
    let Some(number) = parse_number(number) else {
        return Err(malformed(
            "a size like \"64MiB\" (B, KiB, MiB or GiB)",
            text,
        ));
    };
    number.checked_mul(bytes).ok_or(Wrong::TooLarge)
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    (number, unit.trim_start())
}

fn is_zero(number: &str) -> bool {
    parse_number(number) == Some(0)
}

fn parse_number(number: &str) -> Option<u64> {
    number.parse().ok()
}

fn malformed(expected: &'static str, found: &str) -> Wrong {
    Wrong::Malformed {
        expected,
        found: found.to_owned(),
    }
}

const BACKEND: &str = "host:port, [::1]:5432 or unix:/folder";

/// A backend's address: `host[:port]`, `[v6][:port]`, `unix:/folder[:port]`.
pub fn backend(text: &str) -> Result<Address, Wrong> {
    // Whoever pastes a URL here pastes its password too: it is not shown.
    if text.contains("://") || text.contains('@') {
        return Err(Wrong::UrlAsAddress);
    }
    let wrong = || malformed(BACKEND, text);
    if text.starts_with("srv:") {
        let value = text.to_owned();
        return Err(Wrong::ValueNotSupportedYet { value });
    }
    if let Some(rest) = text.strip_prefix("unix:") {
        return unix(rest).ok_or_else(wrong);
    }
    let (host, port) = host_and_port(text).ok_or_else(wrong)?;
    let odd = |c: char| c.is_whitespace() || matches!(c, '/' | '[' | ']' | ',' | '"');
    if host.is_empty() || host.contains(odd) || port == Some(0) {
        return Err(wrong());
    }
    Ok(Address::Tcp {
        host: host.to_owned(),
        port: port.unwrap_or(PORT),
    })
}

fn unix(rest: &str) -> Option<Address> {
    let (folder, port) = match rest.rsplit_once(':') {
        Some((folder, port)) => (folder, port.parse().ok().filter(|port| *port != 0)?),
        None => (rest, PORT),
    };
    folder.starts_with('/').then(|| Address::Unix {
        folder: folder.to_owned(),
        port,
    })
}

/// The host without brackets, and the port when there is one. `None`: torn.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, Some(parse_port(port)?))),
            None => after.is_empty().then_some((host, None)),
        };
    }
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some((text, None));
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host, Some(parse_port(port)?))),
        None => Some((text, None)),
    }
}

fn parse_port(port: &str) -> Option<u16> {
    // `parse` alone would let a sign pass.
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| port.parse().ok()).flatten()
}

const LISTEN: &str = "an IP address and port like 127.0.0.1:5432 or [::1]:5432, or unix:/folder";

/// An address to listen on. Names other than `localhost` are not looked up: what is opened
/// must be plain from the file.
pub fn listen(text: &str) -> Result<Listen, Wrong> {
    let wrong = || malformed(LISTEN, text);
    if let Some(rest) = text.strip_prefix("unix:") {
        return match unix(rest).ok_or_else(wrong)? {
            Address::Unix { folder, port } => Ok(Listen::Unix {
                folder: folder.into(),
                port,
            }),
            Address::Tcp { .. } => Err(wrong()),
        };
    }
    let (host, port) = host_and_port(text).ok_or_else(wrong)?;
    let address = literal(host).ok_or_else(wrong)?;
    Ok(Listen::Tcp(SocketAddr::new(address, port.unwrap_or(PORT))))
}

fn literal(host: &str) -> Option<IpAddr> {
    match host {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        host => host.parse().ok(),
    }
}

/// `IP:port`; the address is `None` for `:port`, which means everywhere.
pub fn admin(text: &str) -> Result<(Option<IpAddr>, u16), Wrong> {
    let wrong = || malformed("an address like 127.0.0.1:9127 or :9127", text);
    let (host, port) = host_and_port(text).ok_or_else(wrong)?;
    let port = port.ok_or_else(wrong)?;
    if host.is_empty() {
        return Ok((None, port));
    }
    Ok((Some(literal(host).ok_or_else(wrong)?), port))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "here a failed step is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(duration("15s").unwrap(), Duration::from_secs(15));
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        assert_eq!(duration("1h").unwrap(), Duration::from_secs(3600));
        assert_eq!(duration("7d").unwrap(), Duration::from_secs(604_800));
        assert_eq!(duration("0").unwrap(), Duration::ZERO);
        assert_eq!(duration("0s").unwrap(), Duration::ZERO);
        for text in ["", "s", "15", "-1s", "1.5s", "15 parsecs", "1s2s", "٣s"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
        for text in ["36501d", "18446744073709551615d"] {
            assert!(matches!(duration(text), Err(Wrong::TooLong)), "{text:?}");
        }
    }

    #[test]
    fn a_size_is_a_number_and_a_binary_unit() {
        assert_eq!(size("512B").unwrap(), 512);
        assert_eq!(size("64KiB").unwrap(), 65_536);
        assert_eq!(size("1GiB").unwrap(), 1 << 30);
        assert_eq!(size("0").unwrap(), 0);
        for text in ["", "1", "1MB", "1gib", "-1B", "1.5GiB"] {
            assert!(size(text).is_err(), "{text:?}");
        }
        assert!(matches!(size("17179869184GiB"), Err(Wrong::TooLarge)));
    }

    fn tcp(host: &str, port: u16) -> Address {
        let host = host.to_owned();
        Address::Tcp { host, port }
    }

    #[test]
    fn a_backend_is_a_host_and_a_port_or_a_folder() {
        assert_eq!(
            backend("db.internal:6000").unwrap(),
            tcp("db.internal", 6000)
        );
        assert_eq!(backend("db").unwrap(), tcp("db", 5432));
        assert_eq!(backend("[::1]:5433").unwrap(), tcp("::1", 5433));
        assert_eq!(backend("[::1]").unwrap(), tcp("::1", 5432));
        assert_eq!(backend("fd00::7").unwrap(), tcp("fd00::7", 5432));
        let folder = "/var/run/postgresql".to_owned();
        let port = 5432;
        assert_eq!(
            backend("unix:/var/run/postgresql").unwrap(),
            Address::Unix { folder, port }
        );
        let folder = "/run".to_owned();
        let port = 6000;
        assert_eq!(
            backend("unix:/run:6000").unwrap(),
            Address::Unix { folder, port }
        );
        for text in [
            "",
            ":5432",
            "db:",
            "db:0",
            "db:65536",
            "db:+1",
            "db:x",
            "[::1",
            "[db]:1",
            "a b:1",
            "db/app",
            "a:1:2",
            "unix:run",
            "unix:/run:x",
            "a,b",
        ] {
            assert!(backend(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_url_where_an_address_belongs_is_not_shown() {
        let wrong = backend("postgres://app:hunter2@db/app").unwrap_err();
        assert!(!format!("{wrong} {wrong:?}").contains("hunter2"));
    }

    #[test]
    fn a_listener_is_an_ip_address_and_never_a_name() {
        let at = |text: &str| Listen::Tcp(text.parse().unwrap());
        assert_eq!(listen("127.0.0.1:6432").unwrap(), at("127.0.0.1:6432"));
        assert_eq!(listen("localhost").unwrap(), at("127.0.0.1:5432"));
        assert_eq!(listen("[::1]:0").unwrap(), at("[::1]:0"));
        for text in ["", ":5432", "db.internal:5432", "127.0.0.1:x", "*:5432"] {
            assert!(listen(text).is_err(), "{text:?}");
        }
        let unix = |folder: &str, port| Listen::Unix {
            folder: folder.into(),
            port,
        };
        assert_eq!(listen("unix:/run").unwrap(), unix("/run", 5432));
        assert_eq!(listen("unix:/run:6432").unwrap(), unix("/run", 6432));
        assert!(listen("unix:run").is_err());
    }

    #[test]
    fn an_admin_address_without_a_host_means_everywhere() {
        assert_eq!(admin(":9127").unwrap(), (None, 9127));
        let loopback = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(admin("127.0.0.1:1").unwrap(), (loopback, 1));
        assert!(admin("9127").is_err());
        assert!(admin("127.0.0.1").is_err());
    }
}
