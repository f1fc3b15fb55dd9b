//! Misbehaving clients: bytes on a socket, sent when and as far as the attack wants.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection that has sent `bytes` and reads nothing. `None`: the service refused the connection.
pub(crate) async fn sent(address: &str, bytes: &[u8]) -> Option<TcpStream> {
    let mut stream = timeout(Duration::from_secs(20), TcpStream::connect(address)).await.ok()?.ok()?;
    stream.write_all(bytes).await.ok()?;
    Some(stream)
}

/// `count` simultaneous connections, each with its `bytes`.
pub(crate) async fn many(address: &str, count: usize, bytes: impl Fn(usize) -> Vec<u8>) -> Vec<TcpStream> {
    let connections = FuturesUnordered::new();
    for number in 0..count {
        let bytes = bytes(number);
        connections.push(async move { sent(address, &bytes).await });
    }
    connections.filter_map(std::future::ready).collect().await
}

/// The status of the answer on a connection; `None` when none comes in time.
pub(crate) async fn status(stream: &mut TcpStream, patience: Duration) -> Option<u16> {
    let mut head = Vec::new();
    let read = async {
        while !head.ends_with(b"\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        std::str::from_utf8(&head).ok()?.split(' ').nth(1)?.parse().ok()
    };
    timeout(patience, read).await.ok()?
}

pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes()
}

/// The head of a request with a JSON body of `length` bytes.
pub(crate) fn json_head(method: &str, path: &str, length: usize) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    head.into_bytes()
}

/// A whole request with a JSON body.
pub(crate) fn json(method: &str, path: &str, body: &str) -> Vec<u8> {
    let mut request = json_head(method, path, body.len());
    request.extend_from_slice(body.as_bytes());
    request
}
