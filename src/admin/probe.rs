//! Asks a running ambassador whether it is ready, as a probe of an image without a shell.
//! Blocks: the program that asks does nothing else.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// For each of connecting, asking and being answered.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than an answer has.
const ANSWER: u64 = 64 * 1024;

/// Why the ambassador is not ready, as far as can be told.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    #[error("nothing answers on {address}: {source}")]
    Silent {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("what answers on {address} is no ambassador")]
    Stranger { address: SocketAddr },
    #[error("not ready: {0}")]
    Told(String),
}

/// Asks `/readyz`.
///
/// # Errors
/// See [`Unready`].
pub fn ready(address: SocketAddr) -> Result<(), Unready> {
    let answer = ask(address).map_err(|source| Unready::Silent { address, source })?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    match status {
        Some("200") => Ok(()),
        Some("503") => Err(Unready::Told(body.trim().replace('\n', "; "))),
        Some(_) | None => Err(Unready::Stranger { address }),
    }
}

fn ask(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    reason = "in a test a failed step is a failed test"
)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    /// What is made of this answer.
    fn judged(answer: &'static str) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let judged = ready(address).map_err(|unready| unready.to_string());
        server.join().unwrap();
        judged.map_err(|why| why.replace(&address.to_string(), "ADDRESS"))
    }

    #[test]
    fn only_the_answer_200_is_ready() {
        assert_eq!(judged("HTTP/1.1 200 OK\r\n\r\nready\n"), Ok(()));
        assert_eq!(
            judged("HTTP/1.1 503 Service Unavailable\r\n\r\na\nb\n"),
            Err("not ready: a; b".to_owned())
        );
        let stranger = Err("what answers on ADDRESS is no ambassador".to_owned());
        assert_eq!(judged("HTTP/1.1 404 Not Found\r\n\r\n"), stranger);
        assert_eq!(judged("220 mail.example.org ESMTP\r\n"), stranger);
        assert_eq!(judged(""), stranger);
    }

    #[test]
    fn where_nobody_listens_the_reason_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let told = ready(address).unwrap_err().to_string();
        assert!(told.starts_with(&format!("nothing answers on {address}: ")));
    }
}
