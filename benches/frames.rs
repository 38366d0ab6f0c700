//! How long does it take to find the frames in what was read?

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pg_ambassador::protocol::{backend::Kind, frame};

/// What one read brings at most.
const READ: usize = 64 * 1024;

/// As many DataRows of `size` bytes as one read brings.
fn rows(size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() + frame::HEADER + size <= READ {
        frame::write(&mut bytes, b'D', |out| out.resize(out.len() + size, 7));
    }
    bytes
}

/// The answer to a simple query that finds one row.
fn answer() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (tag, size) in [(b'T', 33), (b'D', 11), (b'C', 9), (b'Z', 1)] {
        frame::write(&mut bytes, tag, |out| out.resize(out.len() + size, 7));
    }
    bytes
}

fn walk(mut bytes: &[u8]) -> usize {
    let mut data = 0;
    while let Ok(Some(header)) = frame::peek(bytes) {
        data += usize::from(Kind::of(header.tag) == Kind::DataRow);
        bytes = bytes.get(header.len..).unwrap_or_default();
    }
    data
}

fn split(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("split");
    let inputs = [
        ("one answer", answer()),
        ("rows of 20 bytes", rows(20)),
        ("rows of 1000 bytes", rows(1000)),
    ];
    for (name, bytes) in inputs {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| walk(black_box(&bytes))));
    }
    group.finish();
}

criterion_group!(benches, split);
criterion_main!(benches);
