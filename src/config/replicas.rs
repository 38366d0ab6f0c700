//! `--replica`: more hosts beside `--upstream`, reached as that says.

use super::{
    cli::Hidden,
    load::Given,
    mistake::{KeyPath, Notes, Origin, Wrong},
    url::{self, Upstream},
    url_tls::UrlTls,
};
use crate::backend::Keepalive;

/// Adds the hosts of these URLs.
pub(super) fn add(given: &mut Given, urls: Option<(&[Hidden], Origin)>, notes: &mut Notes) {
    let Some((urls, at)) = urls else { return };
    for text in urls {
        // What a URL leaves open is what --upstream says, so nothing else is asked.
        let nothing = |_: &str| None;
        match url::parse(text.expose(), &at, &nothing, &mut notes.warnings) {
            Ok(replica) => {
                for what in differences(&given.upstream, &replica) {
                    let wrong = Wrong::ReplicaDiffers { what };
                    notes.mistake(&at, KeyPath::default(), wrong);
                }
                let hosts = replica.addresses.into_iter();
                given.replicas.extend(hosts.map(|host| (at.clone(), host)));
            }
            Err(slips) => {
                for slip in slips {
                    notes.mistake(&at, KeyPath::default(), slip.into());
                }
            }
        }
    }
}

/// What a replica's URL says otherwise: there is one login, and one way of dialling.
fn differences(upstream: &Upstream, replica: &Upstream) -> Vec<&'static str> {
    let limit = replica.connect_timeout.or(upstream.connect_timeout);
    let all = [
        ("user", differs(&replica.user, &upstream.user)),
        ("password", differs(&replica.password, &upstream.password)),
        ("database", differs(&replica.dbname, &upstream.dbname)),
        (
            "TLS",
            replica.tls != UrlTls::default() && replica.tls != upstream.tls,
        ),
        ("connect_timeout", limit != upstream.connect_timeout),
        (
            "keepalive",
            replica.keepalive != Keepalive::default() && replica.keepalive != upstream.keepalive,
        ),
        (
            "application_name, or its options,",
            !replica.startup.is_empty() && replica.startup != upstream.startup,
        ),
    ];
    let told = all.into_iter().filter(|(_, differs)| *differs);
    told.map(|(what, _)| what).collect()
}

fn differs<T: PartialEq>(replica: &Option<T>, upstream: &Option<T>) -> bool {
    replica.is_some() && replica != upstream
}
