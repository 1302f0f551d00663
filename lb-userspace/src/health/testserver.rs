//! A server for the tests of the checks: TCP or TLS, answers with given bytes, remembers what it was asked.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// What the server does once it has read a request.
#[derive(Clone)]
pub(super) enum Answer {
    /// Sends this and closes.
    Bytes(Vec<u8>),
    /// Sends the first part, then the second over and over.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends this, a byte each time.
    Drip(Vec<u8>, Duration),
    /// Says nothing.
    Silence,
    /// Closes without a word.
    Close,
}

/// What was asked over one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) sni: Option<String>,
    pub(super) request: String,
    /// The client is gone.
    pub(super) closed: bool,
}

/// The server; its task ends with the test's runtime.
pub(super) struct TestServer {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    handshakes: Arc<Mutex<usize>>,
    identity: Arc<Mutex<Option<Identity>>>,
}

/// A certificate with its key.
#[derive(Clone)]
pub(super) struct Identity {
    acceptor: TlsAcceptor,
    pub(super) der: Vec<u8>,
}

/// An authority that issues certificates.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Contoso test authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    pub(super) fn issue(&self, names: &[&str]) -> Identity {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        Identity::new(certificate.der().to_vec(), &key)
    }
}

impl Identity {
    fn new(der: Vec<u8>, key: &KeyPair) -> Self {
        let chain = vec![CertificateDer::from(der.clone())];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), der }
    }

    pub(super) fn self_signed(name: &str) -> Self {
        let certified = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        Self::new(certified.cert.der().to_vec(), &certified.signing_key)
    }
}

impl TestServer {
    pub(super) async fn plain(answer: Answer) -> Self {
        Self::start(None, answer).await
    }

    pub(super) async fn tls(identity: Identity, answer: Answer) -> Self {
        Self::start(Some(identity), answer).await
    }

    async fn start(identity: Option<Identity>, answer: Answer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            handshakes: Arc::default(),
            identity: Arc::new(Mutex::new(identity)),
        };
        let (asked, handshakes, identity) = (server.asked.clone(), server.handshakes.clone(), server.identity.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *handshakes.lock().unwrap() += 1;
                let (asked, answer, identity) = (asked.clone(), answer.clone(), identity.lock().unwrap().clone());
                tokio::spawn(async move {
                    match identity {
                        None => serve(stream, None, &asked, answer).await,
                        Some(identity) => {
                            if let Ok(stream) = identity.acceptor.accept(stream).await {
                                let sni = stream.get_ref().1.server_name().map(ToOwned::to_owned);
                                serve(stream, sni, &asked, answer).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    /// Connections that brought a request.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// All connections, also those of a mere handshake.
    pub(super) fn connections(&self) -> usize {
        *self.handshakes.lock().unwrap()
    }

    /// Shows another certificate from now on.
    pub(super) fn replace(&self, identity: Identity) {
        *self.identity.lock().unwrap() = Some(identity);
    }
}

async fn serve<S>(mut stream: S, sni: Option<String>, asked: &Mutex<Vec<Asked>>, answer: Answer)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        request.push(byte);
    }
    let index = {
        let mut asked = asked.lock().unwrap();
        asked.push(Asked { sni, request: String::from_utf8(request).unwrap(), closed: false });
        asked.len() - 1
    };
    let result: std::io::Result<()> = async {
        match answer {
            Answer::Bytes(bytes) => stream.write_all(&bytes).await?,
            Answer::Endless(first, rest) => {
                stream.write_all(&first).await?;
                loop {
                    stream.write_all(&rest).await?;
                }
            }
            Answer::Drip(bytes, pause) => {
                for byte in bytes {
                    stream.write_u8(byte).await?;
                    stream.flush().await?;
                    tokio::time::sleep(pause).await;
                }
            }
            Answer::Silence => {
                stream.read_u8().await?;
            }
            Answer::Close => return Ok(()),
        }
        stream.shutdown().await
    }
    .await;
    drop(result);
    asked.lock().unwrap()[index].closed = true;
}
