//! Who may log in, how, and as whom upstream: `[databases.NAME.auth]` and `.users`.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{
    mistake::Wrong,
    resolve::{Reader, note},
    secret_file::SecretFile,
    section::Section,
};
use crate::auth::{self, Credential, Denied, Method, Password, Query, Secret, Stored, User};
use crate::backend::{Demand, RequireAuth};

/// The three places that can hold a password.
type Places = [&'static str; 3];

const PASSWORD: Places = ["password", "password_file", "password_env"];
const UPSTREAM_PASSWORD: Places = [
    "upstream_password",
    "upstream_password_file",
    "upstream_password_env",
];

impl Reader<'_> {
    pub(super) fn auth(&self, section: &Section<'_>) -> auth::Settings {
        let methods = [
            ("trust", Some(Method::Trust)),
            ("scram-sha-256", Some(Method::ScramSha256)),
            ("md5", Some(Method::Md5)),
            ("cert", Some(Method::Cert)),
        ];
        let auth = section.table("auth");
        let mut settings = auth::Settings {
            method: auth.choice("method", &methods, Method::Trust),
            allow_md5: auth.flag("allow_md5", false),
            users: BTreeMap::new(),
            everyone: self.upstream.as_ref().map(|given| {
                let (user, password) = (&given.upstream.user, &given.upstream.password);
                User::new(None, user.clone(), password.clone().map(Password::from))
            }),
            query: query(&auth),
        };
        let users = section.table("users");
        for (name, section) in users.named() {
            let user = self.user(&section);
            check_user(&section, &user, &settings);
            match name {
                "*" => settings.everyone = Some(user),
                name => {
                    settings.users.insert(name.to_owned(), user);
                }
            }
        }
        check(section, &auth, &settings);
        settings
    }

    /// What a backend may ask of us.
    pub(super) fn require_auth(&self, section: &Section<'_>) -> RequireAuth {
        let (section, key) = (section.table("upstream_tls"), "require_auth");
        if section.get(key).is_none() {
            return RequireAuth::default();
        }
        let demands = [
            ("scram-sha-256", Some(Demand::ScramSha256)),
            ("md5", Some(Demand::Md5)),
            ("none", Some(Demand::Nothing)),
            ("password", Some(Demand::Password)),
        ];
        let allowed = section.choices(key, &demands);
        RequireAuth {
            scram_sha_256: allowed.contains(&Demand::ScramSha256),
            md5: allowed.contains(&Demand::Md5),
            none: allowed.contains(&Demand::Nothing),
            password: allowed.contains(&Demand::Password),
        }
    }

    fn user(&self, section: &Section<'_>) -> User {
        User::new(
            self.secret(section, PASSWORD),
            section.text("upstream_user"),
            self.secret(section, UPSTREAM_PASSWORD),
        )
    }

    /// At most one of the three places that can hold it.
    fn secret(&self, section: &Section<'_>, places: Places) -> Option<Password> {
        let [text_key, file_key, _] = places;
        let mut given = places
            .iter()
            .filter_map(|key| Some((*key, section.text(key)?)));
        let (key, text) = given.next()?;
        for (other, _) in given {
            section.mistake(other, Wrong::Exclusive { other: key });
        }
        let secret = if key == text_key {
            Ok(Secret::new(text).into())
        } else if key == file_key {
            SecretFile::open(Path::new(&text)).map(|file| Password::Kept(Arc::new(file)))
        } else {
            match (self.world.variable)(&text) {
                Some(value) => Ok(Secret::new(value).into()),
                None => Err(Wrong::NoPasswordVariable),
            }
        };
        note(section, key, secret)
    }
}

fn query(auth: &Section<'_>) -> Option<Query> {
    let text = auth.text("query");
    let user = auth.text("query_user");
    let database = auth.text("query_database");
    let text = text?;
    if user.is_none() {
        auth.mistake("query", Wrong::QueryWithoutUser);
    }
    Some(Query {
        text,
        user: user?,
        database,
    })
}

/// An entry by which nobody could log in is a mistake.
fn check_user(section: &Section<'_>, user: &User, settings: &auth::Settings) {
    if !settings.method.asks() {
        return;
    }
    let mut given = PASSWORD.iter().filter(|key| section.get(key).is_some());
    let key = given.next();
    match user.known() {
        Ok(known) => {
            let md5 = matches!(known.stored(), Stored::Md5(_));
            if md5 && settings.method == Method::ScramSha256 && !settings.allow_md5 {
                section.mistake(key.unwrap_or(&"password"), Wrong::Md5NotAllowed);
            }
        }
        Err(Denied::Unfit(why)) => section.mistake(key.unwrap_or(&"password"), Wrong::Unfit(why)),
        // One that could not be read has been told already.
        Err(_) if key.is_some() => {}
        Err(_) if settings.query.is_none() => section.mistake_here(Wrong::NoClientPassword),
        Err(_) => {}
    }
}

fn check(section: &Section<'_>, auth: &Section<'_>, settings: &auth::Settings) {
    let nobody = settings.users.is_empty()
        && settings.query.is_none()
        && section.table("users").get("*").is_none()
        && auth.get("query").is_none();
    if settings.method.asks() && nobody {
        let users = section.path.join("users").to_string();
        auth.mistake("method", Wrong::NobodyCanLogIn { users });
    }
    if let Some(query) = &settings.query {
        let entry = settings.users.get(&query.user);
        let known = entry.is_some_and(|user| {
            let credential = user.upstream(&query.user, None);
            matches!(credential, Credential::Password(_))
        });
        if !known {
            auth.mistake("query_user", Wrong::QueryUserUnknown);
        }
    }
}
