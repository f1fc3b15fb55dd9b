//! Accepts connections and answers the requests on them.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::bodies::{RequestBody, ResponseBody};
use super::connection::Connection;
use super::connections::Connections;
use super::stream::ClientStream;

/// The request line and all headers: twice what browsers send with many cookies.
const MAX_HEAD: usize = 32 << 10;

/// The most bytes that one connection buffers in each direction.
const MAX_BUFFER: usize = 64 << 10;

/// Pauses after a connection could not be accepted for lack of descriptors or memory.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Connections that the system may queue until they are accepted; it has a limit of its own. With the usual 128, some of
/// a few hundred that arrive at once are reset.
const BACKLOG: u32 = 4096;

/// Listens on an address.
///
/// # Errors
/// When the address is in use, or not permitted.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Lets a service restart while connections of the last process are still being closed.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections until `shutdown`. Open ones continue by themselves.
pub(crate) async fn accept(
    listener: TcpListener,
    router: Router,
    connections: Arc<Connections>,
    shutdown: CancellationToken,
) {
    let mut http = http1::Builder::new();
    // `Connections` has the timeouts, with one timer for all.
    http.header_read_timeout(None).max_header_size(MAX_HEAD).max_buf_size(MAX_BUFFER);
    let server = Arc::new(Server { http, router: TowerToHyperService::new(router), shutdown: shutdown.clone() });
    let mut pause = FIRST_PAUSE;
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    pause = FIRST_PAUSE;
                    let (place, connection) = connections.admit(peer.ip()).await;
                    let stream = ClientStream::new(stream, Arc::clone(&connection), place);
                    tokio::spawn(Arc::clone(&server).serve(stream, connection, peer));
                }
                Err(err) if is_of_one_connection(&err) => {}
                Err(err) => {
                    if pause == FIRST_PAUSE {
                        tracing::error!(error = %err, "connections cannot be accepted at the moment; retrying");
                    }
                    connections.evict();
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = shutdown.cancelled() => {}
    }
}

/// Whether the client gave up before its connection was accepted.
fn is_of_one_connection(err: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(err.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

struct Server {
    http: http1::Builder,
    router: TowerToHyperService<Router>,
    shutdown: CancellationToken,
}

impl Server {
    /// Answers requests on one connection until it ends or is upgraded.
    async fn serve(self: Arc<Self>, stream: ClientStream, connection: Arc<Connection>, peer: SocketAddr) {
        let service = service_fn(|request| self.answer(request, Arc::clone(&connection), peer));
        let mut http = pin!(self.http.serve_connection(TokioIo::new(stream), service).with_upgrades());
        let ending = poll_fn(|cx| connection.poll_ending(cx));
        let ended = async {
            tokio::select! {
                // First, so that data that was written is sent before the connection ends.
                biased;
                ended = http.as_mut() => return ended,
                () = self.shutdown.cancelled() => {}
            }
            http.as_mut().graceful_shutdown();
            http.await
        };
        tokio::select! {
            biased;
            ended = ended => if let Err(err) = ended {
                tracing::trace!(error = %err, "a connection broke off");
            },
            () = ending => {}
        }
    }

    async fn answer(
        &self,
        mut request: Request<Incoming>,
        connection: Arc<Connection>,
        peer: SocketAddr,
    ) -> Result<Response<ResponseBody>, Infallible> {
        connection.request();
        request.extensions_mut().insert(ConnectInfo(peer));
        let request = request.map(|body| Body::new(RequestBody::new(body, Arc::clone(&connection))));
        let response = self.router.call(request).await?;
        let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let is_stream = content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        if upgraded || is_stream {
            connection.live();
        }
        Ok(response.map(|body| ResponseBody::new(body, connection, upgraded)))
    }
}
