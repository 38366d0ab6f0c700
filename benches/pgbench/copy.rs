//! How fast one large result comes through a proxy, to a client that throws it away.

use std::{io, time::Instant};

use crate::{
    client::Client,
    error::BenchError,
    load::Sample,
    machine::{CpuTime, Shares},
    peers::Ground,
    service::Service,
};

const MIB: f64 = 1024.0 * 1024.0;
/// A KiB on the wire, with the five bytes of CopyData's head, two that count the columns and four
/// before the value.
const VALUE: u32 = 1024 - 5 - 2 - 4;

/// Has a peer fetch so many MiB and measures it, after a login and a small result that do not count.
///
/// # Errors
/// When the result does not come whole.
pub fn measure(ground: &Ground, peer: &Service, mib: u32) -> Result<Sample, BenchError> {
    ground.stop().check()?;
    let failed = |source: io::Error| BenchError::Client { number: 0, source };
    let mut client = Client::login(peer.port()).map_err(failed)?;
    client.ask(&copy(1)).map_err(failed)?;
    let ours: Vec<u32> = ground
        .postmaster()
        .into_iter()
        .chain([peer.pid()])
        .collect();
    let shares = Shares::now(&ours);
    let before = CpuTime::of(peer.pid())?;
    let begin = Instant::now();
    let bytes = client.ask(&copy(mib)).map_err(failed)?;
    let seconds = begin.elapsed().as_secs_f64();
    let used = CpuTime::of(peer.pid())?.since(before);
    let came = bytes as f64 / MIB;
    let cpu = used.nanoseconds as f64 / 1000.0 / came;
    Ok(Sample {
        tps: came / seconds,
        p50: None,
        p99: None,
        cpu,
        user: used.user_share().map(|share| share * cpu),
        strangers: Shares::now(&ours).strangers_since(shares),
    })
}

/// In binary: the text format has the server look at every byte, and it is not the one measured.
fn copy(mib: u32) -> String {
    let rows = u64::from(mib) * 1024;
    format!(
        "COPY (SELECT repeat('x', {VALUE}) FROM generate_series(1, {rows})) TO STDOUT (FORMAT binary)"
    )
}
