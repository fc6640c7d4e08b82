//! Dates. Without time zones: everything is UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use jaq_core::native::v;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::Offset;

use super::{Native, once, with_argument};
use crate::number::Num;
use crate::value::{Error, Val, ValR, error};

/// The functions of this file.
pub(super) fn list() -> Vec<Native> {
    vec![
        ("now", v(0), |_| once(Ok(now()))),
        ("gmtime", v(0), |cv| {
            once(moment(&cv.1, "gmtime").map(|moment| broken_down(Offset::UTC.to_datetime(moment))))
        }),
        ("mktime", v(0), |cv| once(mktime(&cv.1))),
        ("strftime", v(1), |cv| with_argument(cv, |value, format| strftime(&value, &format))),
        ("strptime", v(1), |cv| with_argument(cv, |value, format| strptime(&value, &format))),
        ("fromdateiso8601", v(0), |cv| once(from_iso(&cv.1))),
    ]
}

fn now() -> Val {
    #[expect(clippy::disallowed_methods, reason = "a guest has no clock but that of its sandbox")]
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Val::from(elapsed.as_secs_f64())
}

/// Seconds since 1970, or a broken down time, as a moment.
fn moment(value: &Val, needed_by: &str) -> Result<Timestamp, Error> {
    match value {
        Val::Num(number) => {
            let nanoseconds = match number {
                Num::Int(seconds) => i128::from(*seconds) * 1_000_000_000,
                // Far beyond all dates, and far below what overflows.
                other => (other.double().clamp(-1e15, 1e15) * 1e6).round() as i128 * 1_000,
            };
            Timestamp::from_nanosecond(nanoseconds).map_err(|_| out_of_range(value))
        }
        Val::Arr(parts) => {
            let civil = civil(parts).ok_or_else(|| {
                error(format!("{needed_by} requires array of 6 numbers, not {}", value.described()))
            })?;
            Offset::UTC.to_timestamp(civil).map_err(|_| out_of_range(value))
        }
        other => Err(error(format!(
            "{needed_by} requires seconds since 1970 or a broken down time, not {}",
            other.described()
        ))),
    }
}

fn out_of_range(value: &Val) -> Error {
    error(format!("{} is out of the range of dates", value.described()))
}

/// Year, month from 0, day, hours, minutes, seconds; more is ignored.
fn civil(parts: &[Val]) -> Option<DateTime> {
    let part = |at: usize| match parts.get(at)? {
        Val::Num(number) => Some(number.double()),
        _ => None,
    };
    let small = |at: usize| part(at).filter(|part| (-128.0..128.0).contains(part)).map(|part| part as i8);
    let seconds = part(5)?;
    let year = part(0).filter(|year| year.abs() < 10_000.0)? as i16;
    let nanoseconds = (seconds.fract() * 1e9) as i32;
    DateTime::new(year, small(1)?.checked_add(1)?, small(2)?, small(3)?, small(4)?, small(5)?, nanoseconds)
        .ok()
}

fn broken_down(civil: DateTime) -> Val {
    let seconds = f64::from(civil.second()) + f64::from(civil.subsec_nanosecond()) / 1e9;
    let parts = [
        f64::from(civil.year()),
        f64::from(civil.month()) - 1.0,
        f64::from(civil.day()),
        f64::from(civil.hour()),
        f64::from(civil.minute()),
        seconds,
        f64::from(civil.weekday().to_sunday_zero_offset()),
        f64::from(civil.day_of_year()) - 1.0,
    ];
    parts.into_iter().map(Val::from).collect()
}

fn mktime(value: &Val) -> ValR {
    if !matches!(value, Val::Arr(_)) {
        return Err(error("mktime requires array of 6 numbers"));
    }
    moment(value, "mktime").map(|moment| Val::from(moment.as_second()))
}

fn strftime(value: &Val, format: &Val) -> ValR {
    let format = format.string("strftime")?;
    let moment = moment(value, "strftime")?;
    let text = strtime::format(format.as_bytes(), moment);
    text.map(Val::from)
        .map_err(|reason| error(format!("strftime cannot use the format {format:?}: {reason}")))
}

fn strptime(value: &Val, format: &Val) -> ValR {
    let (text, format) = (value.string("strptime")?, format.string("strptime")?);
    let mismatch =
        |reason: jiff::Error| error(format!("date {text:?} does not match format {format:?}: {reason}"));
    let mut parsed = BrokenDownTime::parse(format.as_bytes(), text.as_bytes()).map_err(mismatch)?;
    if parsed.offset().is_none() {
        parsed.set_offset(Some(Offset::UTC));
    }
    let timestamp = parsed.to_timestamp().map_err(mismatch)?;
    Ok(broken_down(Offset::UTC.to_datetime(timestamp)))
}

/// RFC 3339 with any offset; fractions are kept.
fn from_iso(value: &Val) -> ValR {
    let text = value.string("fromdate")?;
    let timestamp: Timestamp = text
        .parse()
        .map_err(|_| error(format!("date {text:?} is no ISO 8601 date such as 2015-03-05T23:51:47Z")))?;
    Ok(if timestamp.subsec_nanosecond() == 0 {
        Val::from(timestamp.as_second())
    } else {
        Val::from(timestamp.as_microsecond() as f64 / 1e6)
    })
}
