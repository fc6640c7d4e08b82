//! Sizes and durations as people write them: `64MiB`, `250ms`.

use std::time::Duration;

/// `64MiB`, `1GiB`, `512KiB`, or bytes without a unit.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "KB" | "MB" | "GB" | "kB" | "K" | "M" | "G" => {
            return Err(format!("`{text}` has the unit {unit}: write KiB, MiB or GiB"));
        }
        _ => {
            return Err(format!(
                "`{text}` is not a size: write it as \"64MiB\", with KiB, MiB, GiB or plain bytes"
            ));
        }
    };
    let number: u64 = number
        .parse()
        .map_err(|_| format!("`{text}` is not a size: it begins with a whole number, as in \"64MiB\""))?;
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is more than this machine can count"))
}

/// `250ms`, `30s`, `5m`, `1h`, `30d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 24 * 3_600_000,
        "" => {
            return Err(format!("`{text}` has no unit: write ms, s, m, h or d, as in \"250ms\" or \"30s\""));
        }
        _ => {
            return Err(format!(
                "`{text}` is not a duration: write it as \"250ms\", \"30s\", \"5m\", \"1h\" or \"30d\""
            ));
        }
    };
    let number: u64 = number
        .parse()
        .map_err(|_| format!("`{text}` is not a duration: it begins with a whole number, as in \"30s\""))?;
    let millis = number
        .checked_mul(factor)
        .ok_or_else(|| format!("`{text}` is longer than this machine can count"))?;
    Ok(Duration::from_millis(millis))
}

/// A size in the largest unit that divides it: the way back, for messages.
pub(crate) fn show_size(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{} {unit}", bytes >> shift);
        }
    }
    format!("{bytes} bytes")
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, bytes) in
            [("0", 0), ("17", 17), ("1KiB", 1024), ("64MiB", 64 << 20), ("2 GiB", 2 << 30), ("9B", 9)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1.5GiB", "-1KiB", "64MB", "64mib", "99999999999GiB", "0x10"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert!(size("64MB").unwrap_err().contains("MiB"));
    }

    #[test]
    fn durations_need_a_unit() {
        for (text, millis) in
            [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("2d", 172_800_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "30", "s", "1.5s", "-1s", "1w", "99999999999999999999s", "9999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_is_shown_in_the_unit_it_was_written_in() {
        for (bytes, text) in [(0, "0 bytes"), (1000, "1000 bytes"), (10 << 20, "10 MiB"), (1 << 30, "1 GiB")]
        {
            assert_eq!(show_size(bytes), text);
        }
    }
}
