//! TLS to the server: rustls with ring, the web's root certificates or the ones in a file.
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::base::error::{Error, Result};
use crate::config::Tls;

pub async fn handshake<S>(settings: &Tls, host: &str, stream: S) -> Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = settings.server_name.as_deref().unwrap_or(host);
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| Error::invalid("tls.serverName", "this is no name for a TLS server"))?;
    let connector = TlsConnector::from(Arc::new(client(settings)?));
    connector
        .connect(name, stream)
        .await
        .map_err(|error| Error::unavailable("the TLS handshake failed").cause(error.to_string()))
}

fn client(settings: &Tls) -> Result<ClientConfig> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = &settings.ca_file {
        let unreadable = |error: &dyn std::fmt::Display| {
            Error::invalid("tls.caFile", format!("the file {file} can't be read: {error}"))
        };
        let certificates =
            CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))?;
        let mut any = false;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            roots.add(certificate).map_err(|error| unreadable(&error))?;
            any = true;
        }
        if !any {
            return Err(unreadable(&"it holds no certificate"));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
