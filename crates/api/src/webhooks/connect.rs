//! Connections to the receivers of webhooks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

/// How long one of several addresses may take before the next one is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to addresses that were checked, with TLS for `https://`. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connector {
    tls: Option<TlsConnector>,
}

impl Connector {
    /// Trusts Mozilla's root certificates.
    pub(super) fn new() -> Self {
        Self::with_roots(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    fn with_roots(roots: RootCertStore) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().ok();
        let config = config.map(|config| config.with_root_certificates(roots).with_no_client_auth());
        Self { tls: config.map(|config| TlsConnector::from(Arc::new(config))) }
    }

    /// Connects to the first of `addresses` that answers, for a request to `url`.
    pub(super) async fn connect(&self, url: &Url, addresses: &[SocketAddr]) -> io::Result<Box<dyn Stream>> {
        let stream = connect_tcp(addresses).await?;
        if url.scheme() != "https" {
            return Ok(Box::new(stream));
        }
        let name = match url.host() {
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).map_err(io::Error::other)?,
            Some(Host::Ipv4(ip)) => ServerName::IpAddress(ip.into()),
            Some(Host::Ipv6(ip)) => ServerName::IpAddress(ip.into()),
            None => return Err(io::Error::other("the address has no host")),
        };
        let tls = self.tls.as_ref().ok_or_else(|| io::Error::other("TLS is not available"))?;
        Ok(Box::new(tls.connect(name, stream).await?))
    }
}

async fn connect_tcp(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(err)) => error = err,
            Err(_) => error = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    use super::*;

    const CA: &[u8] = include_bytes!("../../../jobs/tests/conformance/tls/ca.pem");
    const CERTIFICATE: &[u8] = include_bytes!("../../../jobs/tests/conformance/tls/server.pem");
    const KEY: &[u8] = include_bytes!("../../../jobs/tests/conformance/tls/server.key");

    async fn serve_tls() -> SocketAddr {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
                PrivateKeyDer::from_pem_slice(KEY).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"hello").await;
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn certificates_are_checked_for_the_name_in_the_url() {
        let address = serve_tls().await;
        let dead = "127.0.0.1:1".parse().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(CA).unwrap()).unwrap();
        let trusting = Connector::with_roots(roots);
        let connect = async |connector: &Connector, host: &str| {
            let url = Url::parse(&format!("https://{host}:{}/", address.port())).unwrap();
            connector.connect(&url, &[dead, address]).await
        };
        let mut hello = [0; 5];
        connect(&trusting, "localhost").await.unwrap().read_exact(&mut hello).await.unwrap();
        assert_eq!(&hello, b"hello");
        assert!(connect(&trusting, "other.example").await.is_err());
        assert!(connect(&Connector::new(), "localhost").await.is_err());
    }
}
