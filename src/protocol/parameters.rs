//! Settings by name, as a start-up packet carries them.

/// Names and values in the order of their names; names compare without case, as the server's do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Parameters(Vec<(Vec<u8>, Vec<u8>)>);

impl Parameters {
    /// Sets a value; a later one of the same name replaces the earlier.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        match self.place(name) {
            Ok(at) => {
                if let Some((_, old)) = self.0.get_mut(at) {
                    value.clone_into(old);
                }
            }
            Err(at) => self.0.insert(at, (name.to_owned(), value.to_owned())),
        }
    }

    /// Forgets a value.
    pub fn remove(&mut self, name: &[u8]) {
        if let Ok(at) = self.place(name) {
            self.0.remove(at);
        }
    }

    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let at = self.place(name).ok()?;
        self.0.get(at).map(|(_, value)| value.as_slice())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, name: &[u8]) -> Result<usize, usize> {
        fn lower(text: &[u8]) -> impl Iterator<Item = u8> {
            text.iter().map(u8::to_ascii_lowercase)
        }
        self.0
            .binary_search_by(|(have, _)| lower(have).cmp(lower(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case_and_the_last_value_wins() {
        let mut parameters = Parameters::default();
        parameters.set(b"TimeZone", b"UTC");
        parameters.set(b"DateStyle", b"ISO");
        parameters.set(b"timezone", b"Europe/Berlin");
        assert_eq!(parameters.get(b"TIMEZONE"), Some(&b"Europe/Berlin"[..]));
        assert_eq!(parameters.iter().count(), 2);
    }

    #[test]
    fn an_empty_value_is_a_value() {
        let mut parameters = Parameters::default();
        parameters.set(b"application_name", b"");
        assert_eq!(parameters.get(b"application_name"), Some(&b""[..]));
    }
}
