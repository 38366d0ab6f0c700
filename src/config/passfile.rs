//! libpq's password file (PostgreSQL documentation, "The Password File").

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::mistake::Warning;
use crate::auth::Secret;

/// The connection for which a password is looked up.
pub struct Wanted<'a> {
    pub host: &'a str,
    pub port: u16,
    pub database: &'a str,
    pub user: &'a str,
}

/// The password that `path` holds for `wanted`. A missing file holds none; one that others can
/// read is ignored with a warning, as libpq does.
pub fn find(path: &Path, wanted: &Wanted<'_>, warnings: &mut Vec<Warning>) -> Option<Secret> {
    let about = fs::metadata(path).ok()?;
    let path_buf = path.to_owned();
    if !about.is_file() {
        warnings.push(Warning::PasswordFileIsNotAFile { path: path_buf });
        return None;
    }
    if about.permissions().mode() & 0o077 != 0 {
        warnings.push(Warning::PasswordFileIsOpen { path: path_buf });
        return None;
    }
    lookup(&fs::read_to_string(path).ok()?, wanted)
}

/// The password of the first line that matches.
fn lookup(text: &str, wanted: &Wanted<'_>) -> Option<Secret> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| matching(line, wanted))
}

fn matching(line: &str, wanted: &Wanted<'_>) -> Option<Secret> {
    let (host, rest) = field(line)?;
    let (port, rest) = field(rest)?;
    let (database, rest) = field(rest)?;
    let (user, rest) = field(rest)?;
    let fits = host.matches(wanted.host)
        && port.matches(&wanted.port.to_string())
        && database.matches(wanted.database)
        && user.matches(wanted.user);
    // The password ends at an unescaped colon, too, whatever follows.
    let password = field(rest).map_or_else(|| unescape(rest), |(password, _)| password.text);
    (fits && !password.is_empty()).then(|| Secret::new(password))
}

struct Field {
    text: String,
    any: bool,
}

impl Field {
    fn matches(&self, wanted: &str) -> bool {
        self.any || self.text == wanted
    }
}

/// The field before the first unescaped colon, and what follows it.
fn field(line: &str) -> Option<(Field, &str)> {
    let mut escaped = false;
    let end = line.char_indices().find_map(|(index, letter)| {
        let ends = letter == ':' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends.then_some(index)
    })?;
    let (raw, rest) = line.split_at_checked(end)?;
    let (text, any) = (unescape(raw), raw == "*");
    Some((Field { text, any }, rest.strip_prefix(':')?))
}

fn unescape(raw: &str) -> String {
    let mut text = String::new();
    let mut letters = raw.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.extend(letters.next()),
            letter => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "here a failed step is a failed test")]
mod tests {
    use super::*;

    fn password(text: &str) -> Option<String> {
        let wanted = Wanted {
            host: "db.internal",
            port: 5432,
            database: "shop",
            user: "app",
        };
        Some(lookup(text, &wanted)?.expose().to_owned())
    }

    #[test]
    fn the_first_line_that_matches_holds_the_password() {
        let text = "# comment\nother:5432:*:*:no\ndb.internal:5432:shop:app:yes\n*:*:*:*:late\n";
        assert_eq!(password(text).unwrap(), "yes");
        assert_eq!(password("*:*:*:*:late\r\n").unwrap(), "late");
        assert_eq!(password("*:*:*:eve:no"), None);
        assert_eq!(password("*:5433:*:*:no"), None);
        assert_eq!(password("*:*:*:app"), None);
        assert_eq!(password("*:*:*:app:"), None);
        assert_eq!(password("\n\n"), None);
    }

    #[test]
    fn colons_and_backslashes_are_escaped() {
        assert_eq!(password(r"*:*:*:*:a\:b\\c").unwrap(), r"a:b\c");
        assert_eq!(password(r"*:*:sh\op:app:x").unwrap(), "x");
        assert_eq!(password(r"*:*:\*:app:x"), None);
    }

    #[test]
    fn a_file_that_others_can_read_is_ignored_with_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        fs::write(&path, "*:*:*:*:secret\n").unwrap();
        let wanted = Wanted {
            host: "h",
            port: 1,
            database: "d",
            user: "u",
        };
        let mode = |bits| fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
        let mut warnings = Vec::new();
        mode(0o640);
        assert!(find(&path, &wanted, &mut warnings).is_none());
        assert!(matches!(
            warnings.as_slice(),
            [Warning::PasswordFileIsOpen { .. }]
        ));
        mode(0o600);
        let found = find(&path, &wanted, &mut warnings).unwrap();
        assert_eq!(found.expose(), "secret");
        assert!(find(folder.path(), &wanted, &mut warnings).is_none());
        assert_eq!(warnings.len(), 2);
        assert!(find(&folder.path().join("none"), &wanted, &mut warnings).is_none());
        assert_eq!(warnings.len(), 2);
    }
}
