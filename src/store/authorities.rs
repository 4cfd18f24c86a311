//! The certificate authorities that connections to Redis and Postgres trust.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The system's authorities and those in the file `ca`. Fails if it cannot be read or contains none.
pub(super) fn trusted_authorities(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = ca {
        let unusable = |why: String| format!("{}: {why}", file.display());
        let mut is_empty = true;
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(error.to_string()))? {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            is_empty = false;
        }
        if is_empty {
            return Err(unusable("it contains no certificate".to_owned()));
        }
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_without_certificates_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let refused = || trusted_authorities(Some(&file)).unwrap_err();
        assert!(refused().starts_with(&*file.to_string_lossy()), "it is missing: {}", refused());
        std::fs::write(&file, "# no authority yet\n").unwrap();
        assert!(refused().ends_with(": it contains no certificate"), "{}", refused());
    }
}
