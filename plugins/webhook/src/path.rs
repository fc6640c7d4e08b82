//! A path of the trigger's own, in place of the minted address. Whether another trigger has it, the host knows.

use flowcell_sdk::prelude::*;

/// What is wrong with a path, for a trigger that asks its callers who they are, or does not.
pub fn check(path: &str, asks_who_calls: bool) -> Result<(), String> {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Err(
            "the path is empty: write one such as `orders/new`, or leave it out for a minted address"
                .to_owned(),
        );
    }
    if !asks_who_calls {
        return Err("`path` can be guessed, so it needs `auth`; the minted address needs none".to_owned());
    }
    if !path.split('/').all(is_plain) {
        return Err(format!(
            "no request would come to the path `{path}`: its parts consist of letters, digits, `-`, `.`, `_` and `~`, with one \
             `/` between them"
        ));
    }
    Ok(())
}

fn is_plain(part: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !part.is_empty() && part.bytes().all(legal) && ![".", ".."].contains(&part)
}

/// The same of a path as it is written. The host serves it as it stands there, so that an expression is none.
pub fn checked(draft: &Draft) -> Option<Finding> {
    let expression =
        draft.expressions("/path").next().map(|expression| format!("${{ {} }}", expression.text));
    let path = draft.text("/path").or(expression.as_deref())?;
    let asks_who_calls = draft.has("/auth") && draft.text("/auth") != Some("none");
    check(path, asks_who_calls).err().map(|says| Finding::error("/path", says))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_plain_and_not_for_everybody() {
        assert_eq!(check("/orders/v1.0~a_b-c/", true), Ok(()));
        for path in ["a?b=1", "a/../b", "a b", "a//b", "."] {
            assert!(check(path, true).unwrap_err().contains("no request would come to the path"), "{path}");
        }
        assert!(check("//", true).unwrap_err().contains("the path is empty"));
        assert!(check("orders", false).unwrap_err().contains("can be guessed"));
    }
}
