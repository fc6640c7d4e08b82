//! The name that was probably meant, for a message about one that is not known.
//!
//! Comparing two names costs the product of their lengths, and strangers write both. So only names as long as people write them
//! are compared, and only so many of them.

/// The longest name that is compared, in bytes.
const LONGEST: usize = 64;
/// The most names that one is compared with.
const MOST: usize = 200;

/// The known name that differs least from `name`, if it differs little: by a letter, or by a third of them.
pub(crate) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if name.len() > LONGEST {
        return None;
    }
    let folded = name.to_lowercase();
    known
        .filter(|known| known.len() <= LONGEST)
        .take(MOST)
        .map(|known| (strsim::damerau_levenshtein(&folded, &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= 1.max(known.len().min(name.len()) / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let known = ["endpoint", "method", "do"];
        for (name, meant) in [
            ("endpont", Some("endpoint")),
            ("Methdo", Some("method")),
            ("od", Some("do")),
            ("whatever", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), meant, "{name}");
        }
    }

    #[test]
    fn names_that_nobody_writes_are_not_compared() {
        let long = "e".repeat(10 << 20);
        assert_eq!(nearest(&long, ["endpoint"].into_iter()), None);
        assert_eq!(nearest("endpoint", [long.as_str()].into_iter()), None);
        let many = std::iter::repeat_n("method", 1_000_000).chain(["endpoint"]);
        assert_eq!(nearest("endpont", many), None);
    }
}
