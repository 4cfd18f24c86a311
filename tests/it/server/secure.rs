//! TLS: both versions of HTTP by ALPN, resumed sessions, and a certificate that changes while the server runs.

use super::*;
use std::path::Path;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use signet::config::Tls;
use signet::http::buffered_bytes;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

fn write(files: &Tls) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    std::fs::write(&files.certificate, cert.pem()).unwrap();
    cert.der().clone()
}

fn files(folder: &Path) -> Tls {
    Tls { certificate: folder.join("chain.pem"), key: folder.join("key.pem") }
}

/// A client that trusts only this certificate, and resumes its sessions.
fn client(trusted: &CertificateDer<'static>, version: &'static SupportedProtocolVersion) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    // Sent only with a ticket that permits it.
    config.enable_early_data = true;
    config
}

async fn open(at: SocketAddr, client: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(at).await?;
    TlsConnector::from(client.clone()).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// Connects with a new client for TLS 1.3.
async fn connect(
    at: SocketAddr,
    trusted: &CertificateDer<'static>,
    alpn: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config = client(trusted, &TLS13);
    config.alpn_protocols = vec![alpn.into()];
    open(at, &Arc::new(config)).await
}

/// Connects and sends a request. Returns the kind of the handshake, and the worker that responded.
async fn ask_for_worker(at: SocketAddr, client: &Arc<ClientConfig>) -> (HandshakeKind, String) {
    let mut stream = open(at, client).await.unwrap();
    stream.write_all(b"GET /worker HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let connection = stream.get_ref().1;
    assert!(!connection.is_early_data_accepted());
    (connection.handshake_kind().unwrap(), response.rsplit_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn http1_and_http2_work_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let certificate = write(&files);
    let server = serve(config::Server { tls: Some(files), ..settings() });
    assert!(server.running.as_ref().unwrap().url().starts_with("https://"));
    let mut http1 = connect(server.address, &certificate, "http/1.1").await.unwrap();
    assert_eq!(http1.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    http1.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut response = String::new();
    http1.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("\"hello\""), "{response}");
    let http2 = connect(server.address, &certificate, "h2").await.unwrap();
    assert_eq!(http2.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(http2);
    let (mut send, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let request =
        http::Request::get("https://localhost/hello").body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    assert_eq!(send.send_request(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn session_resumes_on_every_worker_of_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let certificate = write(&files);
    let settings = config::Server { tls: Some(files), ..settings() };
    let server = serve(settings.clone());
    let other_server = serve(settings);
    for version in [&TLS13, &TLS12] {
        let client = Arc::new(client(&certificate, version));
        let (kind, first_worker) = ask_for_worker(server.address, &client).await;
        assert_eq!(kind, HandshakeKind::Full);
        let began = Instant::now();
        loop {
            let (kind, worker) = ask_for_worker(server.address, &client).await;
            assert_eq!(kind, HandshakeKind::Resumed);
            // The kernel chooses the worker.
            if worker != first_worker {
                break;
            }
            assert!(began.elapsed() < TIMEOUT, "only one worker gets connections");
        }
        let (kind, _) = ask_for_worker(other_server.address, &client).await;
        assert_eq!(kind, HandshakeKind::Full, "another server has other keys");
    }
}

#[tokio::test]
async fn changed_certificate_is_reloaded() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let first = write(&files);
    let server = serve(config::Server { tls: Some(files.clone()), ..settings() });
    let mut existing = connect(server.address, &first, "http/1.1").await.unwrap();
    let returning = Arc::new(client(&first, &TLS13));
    assert_eq!(ask_for_worker(server.address, &returning).await.0, HandshakeKind::Full);
    let second = write(&files);
    // The server compares times and sizes. On a fast machine, both files may be of one tick of the clock of files.
    let file = std::fs::File::options().append(true).open(&files.certificate).unwrap();
    file.set_modified(file.metadata().unwrap().modified().unwrap() + Duration::from_secs(1)).unwrap();
    let began = Instant::now();
    while connect(server.address, &second, "http/1.1").await.is_err() {
        assert!(began.elapsed() < TIMEOUT, "the new certificate is not used");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(connect(server.address, &first, "http/1.1").await.is_err());
    assert_eq!(ask_for_worker(server.address, &returning).await.0, HandshakeKind::Resumed, "tickets stay valid");
    // A connection from before the change stays open.
    existing.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut response = String::new();
    existing.read_to_string(&mut response).await.unwrap();
    assert!(response.ends_with("\"hello\""), "{response}");
}

#[tokio::test]
async fn unusable_certificate_fails_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let start = || {
        let settings = config::Server { tls: Some(files.clone()), ..settings() };
        let router = Arc::new(routes(&settings).build().unwrap());
        let make = async |worker| {
            Ok::<_, Infallible>(WorkerContext { worker, gate: watch::channel(false).1, waiting: Arc::default() })
        };
        server::start(&settings, router, Arc::new(Log::default()), &Rng::system(), make).unwrap_err().to_string()
    };
    assert!(start().contains(&format!("cannot read {}: ", files.certificate.display())));
    write(&files);
    std::fs::write(&files.key, "").unwrap();
    assert!(start().contains("key.pem contains no private key in PEM format"));
    // A key of another certificate.
    let other = Tls { certificate: folder.path().join("other.pem"), ..files.clone() };
    write(&files);
    write(&other);
    assert!(start().contains("cannot use the certificate"));
}

#[tokio::test]
async fn unfinished_handshake_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    write(&files);
    let server = serve(config::Server { tls: Some(files), ..settings() });
    let mut client = server.connect().await;
    // Records of a ClientHello (type 1) of 60,000 bytes that does not arrive whole.
    let mut hello = vec![1, 0, 0xea, 0x60];
    hello.resize(40_000, 0);
    for piece in hello.chunks(16_000) {
        let length = (piece.len() as u16).to_be_bytes();
        client.write_all(&[&[22, 3, 1][..], &length, piece].concat()).await.unwrap();
    }
    until("the handshake is held", || buffered_bytes().connections > 40_000).await;
    drop(client);
    until("nothing is held", || buffered_bytes() == Default::default()).await;
}
