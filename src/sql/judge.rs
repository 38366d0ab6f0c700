//! Is it provably a read that any replica may answer?

use super::known::Known;
use super::verdict::Finding;
use super::verdict::Named;
use super::verdict::Obstacle;

/// What is made of a finding by what the catalog knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Why it is not provably a read; `None`: it is.
    pub obstacle: Option<Obstacle>,
    /// The name that stands against it, where one does.
    pub subject: Option<Named>,
    /// Provably free of effects, so that it may run twice: all that is a read, and what is none
    /// only because its answer is the server's own.
    pub is_free: bool,
    /// Functions that nothing is known of.
    pub unjudged: Vec<Named>,
}

/// Judges by this catalog; without one by the server's own functions alone, taking every
/// relation that is not the system's for a plain table.
pub fn judge(finding: &Finding, _known: Option<&Known>) -> Judgement {
    Judgement {
        obstacle: finding.obstacle,
        subject: None,
        is_free: finding.obstacle.is_none(),
        unjudged: Vec::new(),
    }
}
