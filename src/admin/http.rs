//! `/metrics`, `/healthz` and `/readyz`.
//!
//! Served by the first worker's thread, beside its clients: a thread more would cost every
//! transaction. So whoever asks here is kept short, see [`AT_ONCE`] and [`PATIENCE`].

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, spawn_local},
    time::{sleep, timeout},
};

use super::metrics;

/// Connections at a time. One more, and the oldest of them is cut: who sends nothing holds
/// nobody up.
const AT_ONCE: usize = 16;
/// From a connection's first byte to its last; a scrape takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// The least that hyper takes, and more than any probe or scraper sends.
const HEAD: usize = 8 * 1024;
/// How long to leave the door alone after running out of file descriptors.
const REST: Duration = Duration::from_millis(50);
const BACKLOG: i32 = 128;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const METRICS: HeaderValue = HeaderValue::from_static(metrics::CONTENT_TYPE);

/// What is told here, as the rest of the program knows it.
pub trait Subject: 'static {
    /// Why no new work is to come; `None`: it may.
    fn unready(&self) -> Option<String>;

    /// What lacks a usable primary, and why; empty: nothing.
    fn without_primary(&self) -> impl Future<Output = Vec<String>>;

    /// The page of metrics.
    fn metrics(&self) -> impl Future<Output = String>;
}

/// Listens where it is asked to; `None` for the address: everywhere.
///
/// # Errors
/// As the system says, mostly that somebody else has the port.
pub fn bind(ip: Option<IpAddr>, port: u16) -> io::Result<std::net::TcpListener> {
    let Some(ip) = ip else {
        let both = listener(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
        // A system without IPv6.
        return both.or_else(|_| listener(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))));
    };
    listener(SocketAddr::from((ip, port)))
}

fn listener(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Answers until its task is ended.
///
/// # Errors
/// The runtime does not take the socket.
pub async fn serve<S: Subject>(listener: std::net::TcpListener, subject: Rc<S>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut guests: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                guests.retain(|guest| !guest.is_finished());
                if guests.len() >= AT_ONCE
                    && let Some(oldest) = guests.pop_front()
                {
                    oldest.abort();
                }
                let guest = spawn_local(attend(stream, Rc::clone(&subject)));
                guests.push_back(guest.abort_handle());
            }
            Err(error) => {
                tracing::warn!("cannot accept an HTTP client: {error}");
                sleep(REST).await;
            }
        }
    }
}

/// One connection, one request.
async fn attend<S: Subject>(stream: TcpStream, subject: Rc<S>) {
    let service =
        service_fn(async |request| Ok::<_, Infallible>(answer(&request, &*subject).await));
    let talk = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(PATIENCE, talk).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("an HTTP client was cut off: {error}"),
        Err(_) => tracing::debug!("an HTTP client was too slow"),
    }
}

async fn answer<S: Subject>(request: &Request<Incoming>, subject: &S) -> Response<Page> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD\n".to_owned(),
        );
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return response;
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => ready(request.uri().query(), subject).await,
        "/metrics" => page(StatusCode::OK, METRICS, subject.metrics().await),
        _ => {
            let known = "not found; there are /metrics, /healthz, /readyz and /readyz?upstream=1\n";
            text(StatusCode::NOT_FOUND, known.to_owned())
        }
    }
}

/// Whether new work may come. `upstream=1` also asks for a usable primary: never the default, or
/// a database that is away for a moment would take every instance out of service.
async fn ready<S: Subject>(query: Option<&str>, subject: &S) -> Response<Page> {
    let mut reasons: Vec<String> = subject.unready().into_iter().collect();
    let mut words = query.into_iter().flat_map(|query| query.split('&'));
    if reasons.is_empty() && words.any(|word| word == "upstream=1") {
        reasons = subject.without_primary().await;
    }
    if reasons.is_empty() {
        return text(StatusCode::OK, "ready\n".to_owned());
    }
    let reasons: String = reasons.iter().map(|one| format!("{one}\n")).collect();
    text(StatusCode::SERVICE_UNAVAILABLE, reasons)
}

fn text(status: StatusCode, said: String) -> Response<Page> {
    page(status, TEXT, said)
}

fn page(status: StatusCode, kind: HeaderValue, said: String) -> Response<Page> {
    let mut response = Response::new(Page(said.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A body that is here already.
struct Page(Bytes);

impl Body for Page {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}
