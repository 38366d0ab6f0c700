//! Switches that leave a part of a session's work undone, so that tests can prove that they would
//! notice. There are none in a release build: [`without`] is a constant there.

/// What can be left undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A connection is made to look like the client's own.
    Adopt,
    /// What failed is taken back from our picture of the session.
    Undo,
    /// The connection is asked what it holds.
    Look,
    /// A pin ends with what it was for.
    Unpin,
    /// Names of statements are the client's own.
    Rename,
    /// A setting that was taken back, by RESET or a rollback, is no longer the session's.
    TakeBack,
    /// What means the session alone is kept from what sessions share.
    Substitute,
}

impl Part {
    pub const ALL: [Self; 7] = [
        Self::Adopt,
        Self::Undo,
        Self::Look,
        Self::Unpin,
        Self::Rename,
        Self::TakeBack,
        Self::Substitute,
    ];

    /// As [`VARIABLE`] names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adopt => "adopt",
            Self::Undo => "undo",
            Self::Look => "look",
            Self::Unpin => "unpin",
            Self::Rename => "rename",
            Self::TakeBack => "take back",
            Self::Substitute => "substitute",
        }
    }
}

/// The variable that names a part, in debug builds alone.
pub const VARIABLE: &str = "AMBASSADOR_TEST_WITHOUT";

/// A part that is left undone, if any is. Never changes once the program runs.
#[cfg(debug_assertions)]
static OFF: std::sync::OnceLock<Part> = std::sync::OnceLock::new();

/// Takes what the variable says, at the start of the program.
#[cfg(debug_assertions)]
pub fn arm(name: Option<&str>) {
    let mut parts = Part::ALL.into_iter();
    if let Some(part) = parts.find(|part| name == Some(part.name())) {
        OFF.get_or_init(|| part);
    }
}

/// Whether this part is to be left undone.
#[cfg(debug_assertions)]
pub(super) fn without(part: Part) -> bool {
    OFF.get() == Some(&part)
}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub(super) const fn without(_: Part) -> bool {
    false
}
