//! Who may log in, and as whom upstream.

use std::collections::BTreeMap;

use super::Secret;

/// The weakest exchange that is allowed downstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// Loopback and Unix sockets only.
    #[default]
    Trust,
}

/// One entry of `users`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// The name upstream; `None`: the client's own.
    pub upstream_user: Option<String>,
    /// What proves it upstream; `None`: nothing.
    pub upstream_password: Option<Secret>,
}

/// Who may log in to one database.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub method: Method,
    pub users: BTreeMap<String, User>,
    /// `users."*"`: everyone without an entry.
    pub everyone: Option<User>,
}

impl Settings {
    /// The entry under which `name` logs in; `None`: it may not.
    ///
    /// With no entry at all, trust lets everyone in under the own name.
    pub fn find(&self, name: &str) -> Option<User> {
        if let Some(user) = self.users.get(name).or(self.everyone.as_ref()) {
            return Some(user.clone());
        }
        self.users.is_empty().then(User::default)
    }

    /// The entry whose clients are `user` upstream, if there is one.
    pub fn upstream(&self, user: &[u8]) -> Option<User> {
        let goes_as = |one: &&User| one.upstream_user.as_deref().map(str::as_bytes) == Some(user);
        let named = self.users.values().chain(&self.everyone).find(goes_as);
        let own = || {
            let entry = self.find(str::from_utf8(user).ok()?)?;
            entry.upstream_user.is_none().then_some(entry)
        };
        own().or_else(|| named.cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(upstream: Option<&str>, password: &str) -> User {
        User {
            upstream_user: upstream.map(str::to_owned),
            upstream_password: Some(Secret::new(password.to_owned())),
        }
    }

    #[test]
    fn the_login_of_an_upstream_user_is_found_whether_renamed_or_not() {
        let settings = Settings {
            users: BTreeMap::from([
                ("app".to_owned(), user(None, "own")),
                ("web".to_owned(), user(Some("shared"), "renamed")),
            ]),
            ..Settings::default()
        };
        assert_eq!(settings.upstream(b"app"), Some(user(None, "own")));
        assert_eq!(
            settings.upstream(b"shared"),
            Some(user(Some("shared"), "renamed"))
        );
        assert_eq!(settings.upstream(b"web"), None);
    }
}
