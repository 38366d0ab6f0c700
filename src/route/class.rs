//! Where statements are counted by their class.

use crate::sql::Class;

macro_rules! classes {
    ($($name:ident,)*) => {
        /// All of them, in the order of their declaration: the place of each is `as usize`.
        pub const CLASSES: &[Class] = &[$(Class::$name),*];

        /// Does not compile where one is missing above.
        const fn _listed(class: Class) {
            match class {
                $(Class::$name => {})*
            }
        }
    };
}

classes! {
    Empty,
    Read,
    CopyOut,
    Cursor,
    Prepare,
    Transaction,
    Session,
    Listen,
    Utility,
    Call,
    CopyIn,
    Write,
    Ddl,
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_place() {
        for (place, class) in CLASSES.iter().enumerate() {
            assert_eq!(*class as usize, place, "{class:?}");
        }
    }
}
