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
}
