//! The hosts and ports of a URL, several of each as libpq takes them (PostgreSQL documentation,
//! "Specifying Multiple Hosts").

use super::{units::PORT, url::UrlWrong};
use crate::topology::Address;

/// What stands before the path, as a list of hosts and a list of ports, empty where none is named.
pub(super) fn split(net: &str) -> Result<(String, String), UrlWrong> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for one in net.split(',') {
        let (host, port) = match one.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or(UrlWrong::Host)?;
                match after.strip_prefix(':') {
                    Some(port) => (host, port),
                    None if after.is_empty() => (host, ""),
                    None => return Err(UrlWrong::Host),
                }
            }
            None => one.split_once(':').unwrap_or((one, "")),
        };
        hosts.push(host);
        ports.push(port);
    }
    let named = ports.iter().any(|port| !port.is_empty());
    let ports = if named {
        ports.join(",")
    } else {
        String::new()
    };
    Ok((hosts.join(","), ports))
}

/// Each host with its port; one port counts for all hosts.
pub(super) fn addresses(
    hosts: Option<&str>,
    ports: Option<&str>,
) -> Result<Vec<Address>, UrlWrong> {
    let hosts: Vec<&str> = hosts.ok_or(UrlWrong::NoHost)?.split(',').collect();
    let ports: Vec<&str> = ports.unwrap_or_default().split(',').collect();
    if ports.len() > 1 && ports.len() != hosts.len() {
        return Err(UrlWrong::Ports);
    }
    let of_all = ports.first().copied().unwrap_or_default();
    let mut found = Vec::new();
    for (index, host) in hosts.iter().enumerate() {
        let port = ports.get(index).copied();
        let address = address(host, port.unwrap_or(of_all))?;
        if found.contains(&address) {
            return Err(UrlWrong::SameHost);
        }
        found.push(address);
    }
    Ok(found)
}

fn address(host: &str, port: &str) -> Result<Address, UrlWrong> {
    let host = host.to_owned();
    let port = match port {
        "" => Some(PORT),
        port => port.parse().ok().filter(|port| *port != 0),
    };
    let port = port.ok_or(UrlWrong::Port)?;
    if host.is_empty() {
        return Err(UrlWrong::NoHost);
    }
    if host.starts_with('/') {
        return Ok(Address::Unix { folder: host, port });
    }
    if host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '@' | '[' | ']')) {
        return Err(UrlWrong::Host);
    }
    Ok(Address::Tcp { host, port })
}
