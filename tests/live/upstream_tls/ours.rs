//! What we show: the server asks `named` for a certificate of that name.

use super::{Encrypted, encrypted};
use crate::support::papers::{Authority, Kind, Papers, When};

/// As `named`, with this certificate and key.
const MINE: &str = "mode = 'verify-full'
    ca_file = 'FOLDER/ca.pem'
    cert_file = 'FOLDER/mine.pem'
    key_file = 'FOLDER/mine.key'
    users.named = {}";

impl Encrypted {
    fn show(&self, papers: &Papers) -> Result<String, String> {
        papers.write(self.folder.path(), "mine");
        self.check(MINE)
    }

    #[track_caller]
    fn refuses(&self, papers: &Papers) -> String {
        let told = self.show(papers).unwrap_err();
        told.replace("localhost: TLS failed: ", "")
    }
}

#[test]
fn a_certificate_of_the_users_name_opens_whatever_its_key_is_and_however_that_is_written() {
    let server = encrypted();
    for kind in [Kind::Ecdsa, Kind::Rsa, Kind::Ed25519] {
        let papers = server.client_ca.issue_as("named", &[], kind, When::Now);
        server.show(&papers).unwrap();
        if kind != Kind::Ed25519 {
            server.show(&papers.in_older_form()).unwrap();
        }
    }
}

#[test]
fn a_chain_of_ours_is_shown_whole() {
    let server = encrypted();
    let between = server.client_ca.under("in between");
    let papers = between.issue("named", &[]);
    server.show(&papers.clone().vouched_by(&between)).unwrap();
    let said = "server does not know the authority of our certificate mine.pem (databases.postgres.upstream_tls.cert_file); have it issued by one in the server's ssl_ca_file";
    assert_eq!(server.refuses(&papers), said);
}

#[test]
fn without_a_certificate_the_server_says_that_it_wants_one() {
    let server = encrypted();
    let told = server
        .check("mode = 'require'\nusers.named = {}")
        .unwrap_err();
    assert!(
        told.contains("connection requires a valid client certificate"),
        "{told}"
    );
}

#[test]
fn a_certificate_for_another_user_is_refused_in_the_servers_words() {
    let server = encrypted();
    let papers = server.client_ca.issue("somebody", &[]);
    let told = server.show(&papers).unwrap_err();
    assert!(
        told.contains("authentication failed for user \"named\""),
        "{told}"
    );
}

#[test]
fn a_certificate_that_the_server_does_not_like_is_told_with_its_file_and_why() {
    let mut server = Encrypted::without_tls();
    let good = server.ca.issue("db", &["localhost"]);
    // The server judges it within the handshake in the one, and behind it in the other.
    for version in ["TLSv1.2", "TLSv1.3"] {
        let only = [
            ("ssl_min_protocol_version", version),
            ("ssl_max_protocol_version", version),
        ];
        server.shows(&good, &only);
        let stranger = Authority::new("strangers").issue("named", &[]);
        let said = "server does not know the authority of our certificate mine.pem (databases.postgres.upstream_tls.cert_file); have it issued by one in the server's ssl_ca_file";
        assert_eq!(server.refuses(&stranger), said, "{version}");
        let expired = server
            .client_ca
            .issue_as("named", &[], Kind::Ecdsa, When::Past);
        let said = "server says that our certificate mine.pem (databases.postgres.upstream_tls.cert_file) has expired; renew it";
        assert_eq!(server.refuses(&expired), said, "{version}");
        let early = server
            .client_ca
            .issue_as("named", &[], Kind::Ecdsa, When::Future);
        let said = "server refuses our certificate mine.pem (databases.postgres.upstream_tls.cert_file); its log says why";
        assert_eq!(server.refuses(&early), said, "{version}");
    }
}

#[test]
fn who_is_no_longer_believed_is_refused() {
    let mut server = Encrypted::new();
    let papers = server.client_ca.issue("named", &[]);
    server.show(&papers).unwrap();
    server.client_ca = Authority::new("new clients");
    let good = server.ca.issue("db", &["localhost"]);
    server.shows(&good, &[]);
    assert!(
        server
            .refuses(&papers)
            .starts_with("server does not know the authority of our certificate")
    );
}

#[test]
fn a_key_that_is_another_certificates_is_refused_before_anybody_is_dialled() {
    let server = encrypted();
    let mut papers = server.client_ca.issue("named", &[]);
    papers.key = server.client_ca.issue("named", &[]).key;
    let told = server.show(&papers).unwrap_err();
    assert!(
        told.ends_with(
            "upstream_tls.key_file: mine.key: is not the key of the certificate in mine.pem"
        ),
        "{told}"
    );
}
