//! Relays between a client and a server: one hands on a byte at a time, one does harm.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    thread,
};

/// What is done to what the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// A bit of the message is flipped.
    Flip,
    /// The message is lost.
    Drop,
    /// The message and the next change places.
    Swap,
}

/// A relay to the port of a server: every byte travels in a write of its own. Ends with the process.
pub fn chopping(to: u16) -> u16 {
    serve(to, move |client, server| {
        let (one, other) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || chop(client, server));
        thread::spawn(move || chop(other, one));
    })
}

/// A relay to the port of a server that does harm to the messages of these numbers, counted from
/// the first ReadyForQuery of a connection on. Ends with the process.
pub fn harming(to: u16, harm: Harm, at: usize) -> u16 {
    serve(to, move |client, server| {
        let (one, other) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || copy(client, server));
        thread::spawn(move || hurt(other, one, harm, at));
    })
}

fn serve(to: u16, relay: impl Fn(TcpStream, TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else {
                continue;
            };
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            relay(client, server);
        }
    });
    port
}

fn chop(mut from: TcpStream, mut to: TcpStream) {
    let mut chunk = [0; 16 * 1024];
    'all: while let Ok(len @ 1..) = from.read(&mut chunk) {
        for byte in &chunk[..len] {
            if to.write_all(&[*byte]).is_err() {
                break 'all;
            }
        }
    }
    end(&from, &to);
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    end(&from, &to);
}

/// What ended on one side ends on the other.
fn end(from: &TcpStream, to: &TcpStream) {
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

fn hurt(mut from: TcpStream, mut to: TcpStream, harm: Harm, at: usize) {
    // Not counted before the first ReadyForQuery.
    let mut number = None;
    let mut kept: Option<Vec<u8>> = None;
    while let Some(mut frame) = frame(&mut from) {
        let hit = number == Some(at);
        number = number.map(|number: usize| number + 1);
        if frame[0] == b'Z' && number.is_none() {
            number = Some(0);
        }
        match harm {
            Harm::Flip if hit => flip(&mut frame),
            Harm::Drop if hit => continue,
            Harm::Swap if hit => {
                kept = Some(frame);
                continue;
            }
            Harm::Flip | Harm::Drop | Harm::Swap => {}
        }
        let sent = to.write_all(&frame);
        let after = kept.take().map_or(Ok(()), |kept| to.write_all(&kept));
        if sent.and(after).is_err() {
            break;
        }
    }
    end(&from, &to);
}

fn frame(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 5];
    from.read_exact(&mut frame).ok()?;
    let len = u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]);
    frame.resize(usize::try_from(len).unwrap() + 1, 0);
    from.read_exact(&mut frame[5..]).ok()?;
    Some(frame)
}

/// In the middle of the body, or in the tag of a message without one.
fn flip(frame: &mut [u8]) {
    let at = match frame.len() {
        5 => 0,
        len => 5 + (len - 5) / 2,
    };
    frame[at] ^= 1;
}
