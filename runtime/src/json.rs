//! JSON that somebody else wrote, read within a budget.
//!
//! A byte of text can be a hundred of memory: `{"":0},` is eight bytes, and some 800 as a value. So the text is weighed
//! first, in one pass that makes nothing, and what would be too large is not made.

use serde_json::Value;

/// The most that one text may take up as a value, in bytes, about.
pub(crate) const HEAVIEST: usize = 192 << 20;

/// What the parts of a value take up, about. A map has room for eleven fields as soon as it has one, a list for four items.
const OBJECT: usize = 680;
const ARRAY: usize = 128;
const FIELD: usize = 64;
const ITEM: usize = 48;
const TEXT: usize = 24;
/// A text of so many bytes is not worth the weighing, whatever it is.
const UNWEIGHED: usize = 4 << 10;

/// Why a text is no value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("it would take up {} MiB of memory, and {} are read: send less, or in larger pieces", .0 >> 20, HEAVIEST >> 20)]
    TooHeavy(usize),
    #[error(transparent)]
    Syntax(#[from] serde_json::Error),
}

impl ReadError {
    /// The status of an answer that says so.
    pub fn status(&self) -> u16 {
        match self {
            Self::TooHeavy(_) => 413,
            Self::Syntax(_) => 400,
        }
    }
}

/// The value of a text.
pub(crate) fn read(text: &[u8]) -> Result<Value, ReadError> {
    admit(text)?;
    Ok(serde_json::from_slice(text)?)
}

/// Whether the text is light enough to be read into whatever it is to become.
pub(crate) fn admit(text: &[u8]) -> Result<(), ReadError> {
    match weight(text) {
        weight if weight > HEAVIEST => Err(ReadError::TooHeavy(weight)),
        _ => Ok(()),
    }
}

/// About how many bytes the value of a text takes up. Exact to a factor of two for JSON; of other text it says something, and
/// the reading of it ends at the first fault.
pub(crate) fn weight(text: &[u8]) -> usize {
    if text.len() <= UNWEIGHED {
        // What people send is some four times its text.
        return text.len() * 4;
    }
    let (mut weight, mut at) = (ITEM, 0);
    while let Some(&byte) = text.get(at) {
        at += 1;
        weight += match byte {
            b'{' if text.get(at) != Some(&b'}') => OBJECT,
            b'[' if text.get(at) != Some(&b']') => ARRAY,
            b':' => FIELD,
            b',' => ITEM,
            b'"' => {
                let length = length(&text[at..]);
                at += length + 1;
                TEXT + length
            }
            _ => 0,
        };
    }
    weight
}

/// The bytes of a JSON text up to its closing quote.
fn length(rest: &[u8]) -> usize {
    let mut from = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &rest[from.min(rest.len())..]) {
        match rest[from + found] {
            b'"' => return from + found,
            _ => from += found + 2,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_as_text_and_large_as_a_value_is_not_read() {
        let objects = format!("[{}0]", r#"{"":0},"#.repeat(1_200_000));
        let error = read(objects.as_bytes()).unwrap_err();
        assert_eq!(error.status(), 413);
        assert_eq!(
            error.to_string(),
            "it would take up 933 MiB of memory, and 192 are read: send less, or in larger pieces"
        );
        for (item, count) in
            [("[0]", 1_200_000), ("{\"a\":{\"b\":{}}}", 150_000), ("\"\"", 3_000_000), ("0", 4_500_000)]
        {
            let items = format!("[{}0]", format!("{item},").repeat(count));
            assert!(weight(items.as_bytes()) > HEAVIEST, "{item}");
        }
    }

    #[test]
    fn what_people_send_is_read() {
        let order =
            r#"{"id": 1234567, "name": "Ada \"Countess\" Lovelace", "tags": ["a", "b"], "paid": true},"#;
        let orders = format!("[{}0]", order.repeat(90_000));
        assert!(orders.len() > 6 << 20);
        assert_eq!(read(orders.as_bytes()).unwrap().as_array().unwrap().len(), 90_001);
        let text = format!("\"{}\"", "\\\"{[:,".repeat(1_500_000));
        assert_eq!(read(text.as_bytes()).unwrap().as_str().unwrap().len(), 7_500_000);
    }

    #[test]
    fn what_is_no_json_is_a_fault_of_its_text() {
        for text in ["", "{", "\"", "\"\\", "nonsense"] {
            assert_eq!(read(text.as_bytes()).unwrap_err().status(), 400, "{text}");
            let long = text.to_owned() + &" ".repeat(2 << 20);
            assert_eq!(read(long.as_bytes()).unwrap_err().status(), 400, "{text}");
        }
    }
}
