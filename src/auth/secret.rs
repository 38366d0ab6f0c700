//! A password that cannot be printed and does not outlive its use.

use core::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// A plain password. `Debug` shows that there is one, never what it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the exchange that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A place that holds a password, and may hold another one tomorrow.
pub trait Source: fmt::Debug + Send + Sync {
    /// The password of now; while none can be read there, the last that could.
    fn current(&self) -> Secret;
}

/// A password that the configuration gives.
#[derive(Debug, Clone)]
pub enum Password {
    Fixed(Secret),
    Kept(Arc<dyn Source>),
}

impl Password {
    /// For one login: the next may be with another.
    pub fn now(&self) -> Secret {
        match self {
            Self::Fixed(secret) => secret.clone(),
            Self::Kept(source) => source.current(),
        }
    }
}

/// Whether they are the same text, or kept in the same place.
impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fixed(one), Self::Fixed(other)) => one == other,
            (Self::Kept(one), Self::Kept(other)) => Arc::ptr_eq(one, other),
            (Self::Fixed(_), Self::Kept(_)) | (Self::Kept(_), Self::Fixed(_)) => false,
        }
    }
}

impl From<Secret> for Password {
    fn from(secret: Secret) -> Self {
        Self::Fixed(secret)
    }
}
